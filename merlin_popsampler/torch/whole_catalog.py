"""Computes loss and rank of a positive among all items of a catalog, block by block."""

from typing import Any, Tuple

import torch

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.scores import BLOCK_BYTES, MASKED

from .hits import count_ahead, own_scores, tie_threshold
from .item_table import check_width
from .logits import accidental_hits, clip_finite, full_precision, scale_by_temperature

FETCH_BYTES = 2**24
"""Size of the vectors that one call of a table returns, 16 MB."""


@torch.no_grad()  # type: ignore[untyped-decorator]
def score_catalog(
    query: torch.Tensor,
    true_ids: torch.Tensor,
    item_vectors: Any,
    domain: Any,
    temperature: Any = 1.0,
    excluded_ids: Any = None,
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Scores each positive against all items for an evaluation, without a gradient.

    Args:
      query: floats `[rows, dim]`.
      true_ids: int64 `[rows]`, ids of items.
      item_vectors: floats `[max_id + 1 or more, dim]`, or a function from int64 ids `[n]` to
        vectors `[n, dim]`; ids outside the domain are never ranked.
      domain: an `IdDomain` or `MappedIdsOnDevice`, the ids that stand for an item.
      temperature: positive number or scalar; scores are divided by it.
      excluded_ids: integers `[rows, n]`, dense or nested, or `IdLists`: ids to leave out for a row.

    Returns:
      Cross-entropy of the full softmax in nats (float32 `[rows]`), and the rank (int64 `[rows]`, 0
      for the best) among the items that are not left out, as `core.scores` defines it.
    """
    # A matrix of rows x catalog would not fit in memory; each block adds to two numbers of a row.
    look_up = item_vectors if callable(item_vectors) else item_vectors.__getitem__
    query, true_vectors = scale_by_temperature(query, temperature), clip_finite(look_up(true_ids))
    check_width(query, true_vectors)
    with full_precision(query):
        true_scores = own_scores(query, true_vectors)
    threshold = tie_threshold(true_scores, query, true_vectors)
    log_sum, ahead = true_scores, torch.zeros_like(true_ids)
    # Ranks that share a table must call it equally often, so the rows do not decide how often.
    fetched = min(max(FETCH_BYTES // (4 * max(query.shape[1], 1)), 1), domain.size)
    block = max(BLOCK_BYTES // (4 * max(query.shape[0], 1)), 1)
    for first in range(0, domain.size, fetched):
        stop = min(first + fetched, domain.size)
        ids = domain.id(torch.arange(first, stop, device=query.device))
        # If the ids of a block are consecutive, a slice avoids a copy.
        slices = isinstance(domain, IdDomain) and not callable(item_vectors)
        rows = slice(domain.id(first), domain.id(stop)) if slices else ids
        vectors = clip_finite(look_up(rows))
        for some_ids, some_vectors in zip(ids.split(block), vectors.split(block)):
            with full_precision(query):
                scores = query @ some_vectors.T
            masked = accidental_hits(true_ids, some_ids, excluded_ids)
            ahead = ahead + count_ahead(scores, threshold, ~masked)
            log_sums = torch.logsumexp(scores.masked_fill(masked, MASKED), 1)
            log_sum = torch.logaddexp(log_sum, log_sums)
    return log_sum - true_scores, ahead
