"""Ranks items without training: baselines for a model, whose scores can be added to its own."""

from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np
from evaluate import Array, Scorer, by_length, gains_of, report
from scipy import sparse
from splits import HeldOut, read_held_out, read_sessions
from stopping import METRIC

from merlin_popsampler import IdDomain


def baseline_results(
    queries: List[Array],
    positives: Array,
    domain: IdDomain,
    sessions: Sequence[Array],
    bands: Array,
) -> Dict[str, Dict[str, Any]]:
    """Returns the report of each baseline by name, the first rows of a training program's table.

    `sessions` are those of the training; the other arguments are those of `evaluate.report`.
    """
    scorers = {
        "popularity": popularity_scorer(domain),
        "item kNN": item_knn_scorer(sessions, domain),
    }
    return {
        name: report(score, queries, positives, domain, bands, name=name)
        for name, score in scorers.items()
    }


WEIGHTS = (2.0, 4.0, 8.0)
"""Weights of item kNN in a sum with a model. The held-out sessions choose one."""
LEAST = 0.05
"""Added to the similarities, so that items without one can still be recommended."""


def blended_scorer(score: Scorer, similarity: Scorer, weight: float) -> Scorer:
    """Adds the weighted logarithm of item kNN's scores to the logits of a model."""

    def blended(queries: List[Array]) -> Array:
        found: Array = score(queries) + weight * np.log(similarity(queries) + np.float32(LEAST))
        return found

    return blended


def blended_results(
    results: Dict[str, Dict[str, Any]],
    scorers: Dict[str, Scorer],
    folder: Path,
    asked: Sequence[Any],
) -> Dict[str, Dict[str, Any]]:
    """Adds item kNN to the model that is best on held-out sessions, which also choose the weight.

    Args:
      results: those of the trained models, with the `curve` of their held-out measurements.
      scorers: logits of the same models.
      folder: training sessions.
      asked: queries, positives, domain and bands of `evaluate.report`.

    Returns:
      The report by name, the last row of a training program's table.
    """
    name = max(scorers, key=lambda name: max(row[METRIC] for row in results[name]["curve"]))
    domain, held_out = asked[2], read_held_out(folder)
    earlier = item_knn_scorer(read_sessions(folder, until=held_out.until), domain)
    weight = _best_weight(scorers[name], earlier, held_out, domain)
    blended = blended_scorer(scorers[name], item_knn_scorer(read_sessions(folder), domain), weight)
    both = f"{name} + kNN"
    return {both: {**report(blended, *asked, name=both), "weight": weight}}


def _best_weight(score: Scorer, similarity: Scorer, held_out: HeldOut, domain: IdDomain) -> float:
    """Returns the weight with the best recall of the held-out sessions, which are scored once."""

    def known(scores: Array) -> Scorer:
        return lambda _: scores

    hits = dict.fromkeys(WEIGHTS, 0)
    for rows in by_length(held_out.queries):
        queries, positives = [held_out.queries[row] for row in rows], held_out.positives[rows]
        parts = known(score(queries)), known(similarity(queries))
        for weight in WEIGHTS:
            gains = gains_of(blended_scorer(*parts, weight), queries, positives, domain)
            hits[weight] += np.count_nonzero(gains)
    return max(WEIGHTS, key=hits.__getitem__)


def popularity_scorer(domain: IdDomain) -> Scorer:
    """Scores items by popularity: ids are in frequency order, so the first ids are the best."""
    scores = -np.arange(domain.cardinality, dtype=np.float32)

    def score(queries: List[Array]) -> Array:
        return np.repeat(scores[None], len(queries), axis=0)

    return score


def item_knn_scorer(sessions: Sequence[Array], domain: IdDomain) -> Scorer:
    """Scores an item by its cosine similarities to the query's items, over the training sessions.

    Two items are similar if the same sessions contain them: their cosine is the number of common
    sessions, divided by the root of the product of their numbers of sessions.
    """
    similarities = _similarities(sessions, domain)

    def score(queries: List[Array]) -> Array:
        return np.asarray((_one_hot(queries, domain) @ similarities).toarray())

    return score


def nearest_items(sessions: Sequence[Array], domain: IdDomain, number: int) -> Array:
    """Returns the most similar items of each id, int64 `[cardinality, number]`, nearest first.

    Similarities are those of `item_knn_scorer`. An item with fewer similar items has 0 for the
    missing ones, and so have reserved ids.
    """
    similarities = _similarities(sessions, domain)
    similarities.setdiag(0.0)
    near = np.zeros((domain.cardinality, number), np.int64)
    for item in range(domain.cardinality):
        row = slice(*similarities.indptr[item : item + 2])
        values, ids = similarities.data[row], similarities.indices[row]
        best = np.lexsort((ids, -values))[:number]
        best = best[values[best] > 0]
        near[item, : len(best)] = ids[best]
    return near


def _similarities(sessions: Sequence[Array], domain: IdDomain) -> Any:
    """Returns cosine similarities of items, sparse float32 `[cardinality, cardinality]`."""
    contains = _one_hot(sessions, domain)
    sizes = np.asarray(contains.sum(axis=0)).ravel()
    unit = contains @ sparse.diags(1.0 / np.sqrt(np.maximum(sizes, 1.0)), dtype=np.float32)
    return (unit.T @ unit).tocsr()


def _one_hot(sessions: Sequence[Array], domain: IdDomain) -> Any:
    """Returns which items each session contains, sparse float32 `[sessions, cardinality]`."""
    rows = np.repeat(np.arange(len(sessions)), [len(ids) for ids in sessions])
    ids = np.concatenate(sessions)
    real = ids >= domain.min_id
    rows, ids = rows[real], ids[real]
    shape = (len(sessions), domain.cardinality)
    matrix = sparse.csr_matrix((np.ones(len(ids), np.float32), (rows, ids)), shape)
    matrix.data[:] = 1.0  # an item that a session contains twice counts once
    return matrix
