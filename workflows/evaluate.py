"""Evaluates models by leave-one-out ranking over the whole catalog.

The last item of each session is the positive, and the items before it are the query. Scores are
ranked over all items, not over a sample. Reserved ids and the items of the query are never
recommended, by a model or by the popularity baseline. A positive that is out of vocabulary is a
miss.

The rank of a positive is the number of other recommended items whose score is greater, equal or
NaN, as in `SampledSoftmax` and `SampledSoftmaxLoss.evaluate`.
"""

from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np
import numpy.typing as npt
from progress import bar

from merlin_popsampler.core.domain import IdDomain

Array = npt.NDArray[Any]
Scorer = Callable[[List[Array]], Array]
"""Maps queries (a list of int64 id arrays) to scores, float32 `[queries, cardinality]`."""


def leave_last_out(sessions: Sequence[Array]) -> Tuple[List[Array], Array]:
    """Splits sessions of at least two ids into queries and positives, int64 `[sessions]`."""
    positives = np.array([ids[-1] for ids in sessions], dtype=np.int64)
    return [np.asarray(ids[:-1], dtype=np.int64) for ids in sessions], positives


def popularity_scorer(domain: IdDomain) -> Scorer:
    """Returns a scorer by popularity; ids are in frequency order, so lower ids score higher."""
    scores = -np.arange(domain.cardinality, dtype=np.float32)

    def score(queries: List[Array]) -> Array:
        return np.repeat(scores[None], len(queries), axis=0)

    return score


def evaluate(
    score: Scorer,
    queries: List[Array],
    positives: Array,
    domain: IdDomain,
    k: int = 20,
    **options: Any,
) -> Dict[str, float]:
    """Computes recall and NDCG at `k`, with one positive for each query.

    See `gains_of` for the arguments.

    Returns:
      `{"recall@k": share of positives in the list, "ndcg@k": mean of 1 / log2(place + 1)}`.
    """
    gains = gains_of(score, queries, positives, domain, k, **options)
    return {f"recall@{k}": float(np.mean(gains > 0)), f"ndcg@{k}": float(np.mean(gains))}


def gains_of(
    score: Scorer,
    queries: List[Array],
    positives: Array,
    domain: IdDomain,
    k: int = 20,
    batch_size: int = 1024,
    name: str = "",
) -> Array:
    """Computes `1 / log2(place + 1)` of each query's positive, or 0 if it is not in the list.

    Places count from 1. Ties and NaN count against the positive.

    Args:
      score: maps queries to scores of every id from 0 to `max_id`.
      queries: ids of each session before the positive.
      positives: int64 `[queries]`, the last id of each session.
      domain: the ids that stand for an item.
      k: length of the recommended list.
      batch_size: number of queries that are scored at once.
      name: label of the progress bar.
    """
    gains = np.zeros(len(queries))
    # Batches hold queries of similar length, since a recurrent model takes as many steps as the
    # longest.
    order = np.argsort([len(ids) for ids in queries], kind="stable")
    for start in bar(range(0, len(queries), batch_size), desc=f"evaluate {name}", leave=False):
        batch = order[start : start + batch_size]
        asked = [queries[row] for row in batch]
        gains[batch] = _gains(score(asked), asked, positives[batch], domain, k)
    return gains


def _gains(
    scores: Array, queries: List[Array], positives: Array, domain: IdDomain, k: int
) -> Array:
    """Computes the discounted gain of each positive, 0 if it is not among the first `k`."""
    scores = np.asarray(scores, dtype=np.float32)
    recommended = np.ones(scores.shape, bool)
    recommended[:, : domain.min_id] = False
    rows = np.repeat(np.arange(len(queries)), [len(ids) for ids in queries])
    recommended[rows, np.concatenate(queries)] = False
    own = np.arange(len(positives)), positives
    ahead = recommended & ~(scores < scores[own][:, None])  # a comparison with NaN is false
    place = np.sum(ahead, axis=1)  # itself included, so places start at 1
    hit = recommended[own] & ~np.isnan(scores[own]) & (place <= k)
    return np.where(hit, 1.0 / np.log2(np.maximum(place, 1) + 1.0), 0.0)


def as_table(results: Dict[str, Dict[str, Any]]) -> str:
    """Formats recall and NDCG of each model, and its recall as a multiple of popularity's."""
    base = results["popularity"]["recall@20"]
    lines = [f"{'':12s}{'recall@20':>10s}{'ndcg@20':>10s}{'times popularity':>18s}"]
    for name, row in results.items():
        times = f"{row['recall@20'] / base:.2f}" if base else "-"
        lines.append(f"{name:12s}{row['recall@20']:>10.4f}{row['ndcg@20']:>10.4f}{times:>18s}")
    return "\n".join(lines)
