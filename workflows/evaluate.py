"""Evaluates models by leave-one-out ranking over the whole catalog.

The last item of each session is the positive, and the items before it are the query. Scores are
ranked over all items, not over a sample. Reserved ids and the items of the query are never
recommended, by a model or by the popularity baseline. A positive that is out of vocabulary is a
miss.

The rank of a positive is the number of other recommended items whose score is greater, equal or
NaN, as in `SampledSoftmax` and `SampledSoftmaxLoss.evaluate`.

Bands tell popular items from rare ones: the head are the most popular items that hold 20 % of the
training interactions, the tail the rarest that hold 20 %.
"""

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from merlin_popsampler import IdDomain

Array = npt.NDArray[Any]
Scorer = Callable[[List[Array]], Array]
"""Maps queries (a list of int64 id arrays) to scores, float32 `[queries, cardinality]`."""


BATCH = 1024
"""Queries scored at once."""
BANDS = ("head", "middle", "tail")
SHARE = 0.2
"""Share of the training interactions in the head, and in the tail."""


def leave_last_out(sessions: Sequence[Array]) -> Tuple[List[Array], Array]:
    """Splits sessions of at least two ids into queries and positives, int64 `[sessions]`."""
    positives = np.array([ids[-1] for ids in sessions], dtype=np.int64)
    return [np.asarray(ids[:-1], dtype=np.int64) for ids in sessions], positives


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
    return _means(gains, k)


def report(
    score: Scorer,
    queries: List[Array],
    positives: Array,
    domain: IdDomain,
    bands: Array,
    k: int = 20,
    **options: Any,
) -> Dict[str, float]:
    """Computes recall and NDCG at `k` as `evaluate`, also by popularity band, and the coverage.

    `bands` is the index into `BANDS` of each id, from `bands_of`; the other arguments are those of
    `gains_of`.

    Returns:
      The keys of `evaluate`, each alone and followed by a band ("recall@20 tail"); a band without
      positives has none. `coverage@k` is the share of the items that are in the list of at least
      one query, `queries` the number of lists.
    """
    return gains_and_report(score, queries, positives, domain, bands, k, **options)[1]


def gains_and_report(
    score: Scorer,
    queries: List[Array],
    positives: Array,
    domain: IdDomain,
    bands: Array,
    k: int = 20,
    **options: Any,
) -> Tuple[Array, Dict[str, float]]:
    """Returns the gain of each query, of `gains_of`, and the report of all; see `report`."""
    recommended = np.zeros(domain.cardinality, bool)
    gains = gains_of(score, queries, positives, domain, k, seen=recommended, **options)
    found = _means(gains, k)
    for index, name in enumerate(BANDS):
        of_band = gains[bands[positives] == index]
        if len(of_band):
            found.update(_means(of_band, k, f" {name}"))
    found.update({f"coverage@{k}": recommended.sum() / domain.size, "queries": len(queries)})
    return gains, found


def _means(gains: Array, k: int, band: str = "") -> Dict[str, float]:
    return {
        f"recall@{k}{band}": float(np.mean(gains > 0)),
        f"ndcg@{k}{band}": float(np.mean(gains)),
    }


def bands_of(sessions: Sequence[Array], domain: IdDomain) -> Array:
    """Returns the index into `BANDS` of each id `[cardinality]`; -1 for ids in no session."""
    counts = np.bincount(np.concatenate(sessions), minlength=domain.cardinality)
    counts[: domain.min_id] = 0
    order = np.argsort(-counts, kind="stable")
    before = np.empty(len(counts))
    before[order] = np.cumsum(counts[order]) - counts[order]
    after = counts.sum() - before - counts
    bands = np.where(before < SHARE * counts.sum(), 0, np.where(after < SHARE * counts.sum(), 2, 1))
    return np.where(counts > 0, bands, -1)


def gains_of(
    score: Scorer,
    queries: List[Array],
    positives: Array,
    domain: IdDomain,
    k: int = 20,
    batch_size: int = BATCH,
    name: str = "",
    seen: Optional[Array] = None,
) -> Array:
    """Computes `1 / log2(place + 1)` of each query's positive, or 0 if it is not in the list.

    Places count from 1. Ties and NaN count against the positive.

    Args:
      score: maps queries to scores of every id from 0 to `max_id`.
      queries: ids of each session before the positive.
      positives: int64 `[queries]`, the last id of each session.
      domain: the ids that stand for an item.
      k: length of the recommended list.
      batch_size: queries scored at once.
      name: shown at the progress bar.
      seen: bool `[cardinality]`; true is set for each id that a list recommends.
    """
    gains = np.zeros(len(queries))
    batches = by_length(queries, batch_size)
    for batch in tqdm(batches, desc=f"evaluate {name}", leave=False, disable=None):
        asked = [queries[row] for row in batch]
        scores = np.asarray(score(asked), dtype=np.float32)
        for first in range(0, len(batch), _ROWS):
            rows = slice(first, first + _ROWS)
            recommended = _may_be_recommended(asked[rows], domain)
            gains[batch[rows]] = _gains(scores[rows], recommended, positives[batch[rows]], k)
            if seen is not None:
                seen |= _listed(scores[rows], recommended, k)
    return gains


_ROWS = 32
"""Queries ranked at once, so few that a processor's cache holds their scores."""


def by_length(queries: List[Array], batch_size: int = BATCH) -> List[Array]:
    """Returns the indices of each batch of queries, the shortest queries first.

    So batches hold queries of similar length, since a recurrent model takes as many steps as the
    longest.
    """
    order = np.argsort([len(ids) for ids in queries], kind="stable")
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def _may_be_recommended(queries: List[Array], domain: IdDomain) -> Array:
    recommended = np.ones((len(queries), domain.cardinality), bool)
    recommended[:, : domain.min_id] = False
    rows = np.repeat(np.arange(len(queries)), [len(ids) for ids in queries])
    recommended[rows, np.concatenate(queries)] = False
    return recommended


def _listed(scores: Array, recommended: Array, k: int) -> Array:
    """Tests whether each id is in the list of at least one query; bool `[cardinality]`.

    A list has the `k` best of the ids that may be recommended, without scores of NaN and minus
    infinity. Of equal scores, lower ids are listed.
    """
    cardinality = scores.shape[1]
    padded = np.full((len(scores), -(-cardinality // _BLOCK) * _BLOCK), -np.inf, np.float32)
    np.copyto(padded[:, :cardinality], scores, where=recommended & ~np.isnan(scores))
    worst = _largest(padded, min(k, cardinality))[:, None]
    listed = (padded >= worst) & (padded > -np.inf)
    for row in np.flatnonzero(np.count_nonzero(listed, axis=1) > k):
        tied = np.flatnonzero(padded[row] == worst[row])
        listed[row, tied[k - np.count_nonzero(padded[row] > worst[row]) :]] = False
    found: Array = listed.any(axis=0)[:cardinality]
    return found


_BLOCK = 32
"""Columns in a block of `_largest`."""


def _largest(values: Array, k: int) -> Array:
    """Returns the `k`-th largest value of each row.

    The blocks with the `k` largest maxima have it, since values above the least of these maxima are
    in no other block. So few values are compared, which is nine times as fast as np.partition for
    the demo's 26,680 items, and no slower for a thousand.
    """
    # The columns of a block are far apart, since NumPy is slow at maxima of adjacent ones.
    blocks = values.reshape(len(values), _BLOCK, -1)
    if blocks.shape[2] > k:
        best = np.argpartition(blocks.max(axis=1), -k, axis=1)[:, None, -k:]
        blocks = np.take_along_axis(blocks, best, axis=2)
    found: Array = np.partition(blocks.reshape(len(values), -1), -k, axis=1)[:, -k]
    return found


def _gains(scores: Array, recommended: Array, positives: Array, k: int) -> Array:
    """Returns the discounted gain of each positive, 0 if it is not among the first `k`."""
    own = np.arange(len(positives)), positives
    # NaN counts as greater, since comparisons with NaN are false.
    ahead = recommended & ~(scores < scores[own][:, None])
    place = np.sum(ahead, axis=1)  # the positive itself is included, so places start at 1
    hit = recommended[own] & ~np.isnan(scores[own]) & (place <= k)
    return np.where(hit, 1.0 / np.log2(np.maximum(place, 1) + 1.0), 0.0)


def as_table(results: Dict[str, Dict[str, Any]]) -> str:
    """Returns the table of all models: metrics, recall by band and as a multiple of popularity."""
    columns = ["recall@20", "ndcg@20", *(f"recall@20 {band}" for band in BANDS), "coverage@20"]
    heads = ["recall@20", "ndcg@20", *BANDS, "coverage"]
    base = results["popularity"]["recall@20"]
    lines = [f"{'':16s}" + "".join(f"{head:>10s}" for head in heads) + f"{'times popularity':>18s}"]
    for name, row in results.items():
        cells = "".join(f"{row[key]:>10.4f}" if key in row else f"{'-':>10s}" for key in columns)
        times = f"{row['recall@20'] / base:.2f}" if base else "-"
        lines.append(f"{name:16s}{cells}{times:>18s}")
    return "\n".join(lines)
