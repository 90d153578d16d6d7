"""One evaluator for every model: leave-one-out ranking over the whole catalog.

Each session's last item is left out, and the others are the query. Scores are ranked over all items
(not over a sample of them); ids that stand for no item are never recommended, and neither are the
query's own items, for a model and for the popularity baseline alike. A positive that the vocabulary
does not know counts as a miss.

A positive's rank is the number of other recommended items whose score is greater, equal or NaN, as
in `SampledSoftmax` and `SampledSoftmaxLoss.evaluate`.
"""

from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np
import numpy.typing as npt
from progress import bar

from merlin_popsampler.core.domain import IdDomain

Array = npt.NDArray[Any]
Scorer = Callable[[List[Array]], Array]
"""From queries (a list of int64 id arrays) to scores, float32 `[queries, cardinality]`."""


def leave_last_out(sessions: Sequence[Array]) -> Tuple[List[Array], Array]:
    """Queries and positives (int64 `[sessions]`) of sessions of two ids or more."""
    positives = np.array([ids[-1] for ids in sessions], dtype=np.int64)
    return [np.asarray(ids[:-1], dtype=np.int64) for ids in sessions], positives


def popularity_scorer(domain: IdDomain) -> Scorer:
    """Ids are in frequency order, so the most popular items are simply the first ids."""
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
    """Recall and NDCG at `k`, with one positive a query: means of `gains_of`, of these arguments.

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
    """`1 / log2(place + 1)` of each query's positive, 0 where it is not in the list.

    Ties and NaN count against the positive: a model of equal scores, or of NaN, recommends nothing.

    Args:
      score: from queries to scores of every id from 0 to `max_id`.
      queries: ids of each session but the one left out.
      positives: int64 `[queries]`, the ids left out.
      domain: the ids that stand for an item.
      k: length of the recommended list.
      batch_size: queries scored at once.
      name: shown beside the progress bar.
    """
    gains = np.zeros(len(queries))
    # Queries of one length together: a model that reads them in steps takes as many as the longest.
    order = np.argsort([len(ids) for ids in queries], kind="stable")
    for start in bar(range(0, len(queries), batch_size), desc=f"evaluate {name}", leave=False):
        batch = order[start : start + batch_size]
        asked = [queries[row] for row in batch]
        gains[batch] = _gains(score(asked), asked, positives[batch], domain, k)
    return gains


def _gains(
    scores: Array, queries: List[Array], positives: Array, domain: IdDomain, k: int
) -> Array:
    """Discounted gain of each query's positive, 0 where it is not among the first `k`."""
    scores = np.asarray(scores, dtype=np.float32)
    recommended = np.ones(scores.shape, bool)
    recommended[:, : domain.min_id] = False
    rows = np.repeat(np.arange(len(queries)), [len(ids) for ids in queries])
    recommended[rows, np.concatenate(queries)] = False
    own = np.arange(len(positives)), positives
    ahead = recommended & ~(scores < scores[own][:, None])  # NaN is not below anything
    place = np.sum(ahead, axis=1)  # itself included, so places start at 1
    hit = recommended[own] & ~np.isnan(scores[own]) & (place <= k)
    return np.where(hit, 1.0 / np.log2(np.maximum(place, 1) + 1.0), 0.0)


def as_table(results: Dict[str, Dict[str, Any]]) -> str:
    """Recall and NDCG of each model, and how often it has the recall of popularity."""
    base = results["popularity"]["recall@20"]
    lines = [f"{'':12s}{'recall@20':>10s}{'ndcg@20':>10s}{'times popularity':>18s}"]
    for name, row in results.items():
        times = f"{row['recall@20'] / base:.2f}" if base else "-"
        lines.append(f"{name:12s}{row['recall@20']:>10.4f}{row['ndcg@20']:>10.4f}{times:>18s}")
    return "\n".join(lines)
