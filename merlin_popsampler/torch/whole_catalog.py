"""Cross-entropy and rank of a positive among all items of a catalog, block by block."""

from typing import Any, Tuple

import torch

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.scores import BLOCK_BYTES, MASKED

from .logits import bounded, full_precision, is_no_negative, tempered


@torch.no_grad()  # type: ignore[untyped-decorator]
def score_catalog(
    query: torch.Tensor,
    true_ids: torch.Tensor,
    item_vectors: torch.Tensor,
    domain: IdDomain,
    temperature: Any = 1.0,
    excluded_ids: Any = None,
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Each positive against every other item, as an evaluation wants it: without a gradient.

    Args:
      query: floats `[rows, dim]`.
      true_ids: int64 `[rows]`, ids of items.
      item_vectors: floats `[max_id + 1 or more, dim]`; ids outside the domain are never ranked.
      domain: the ids that stand for an item.
      temperature: positive number or scalar; scores are divided by it.
      excluded_ids: integers `[rows, n]`, dense or nested: ids to leave out for a row.

    Returns:
      Cross-entropy of the full softmax in nats (float32 `[rows]`), and the number of items with a
      better score than the positive's (int64 `[rows]`, 0 for the best).
    """
    # A matrix of rows x catalog would not fit; what is kept of a block is two numbers a row.
    query = tempered(query, temperature)
    true_scores = (query * bounded(item_vectors[true_ids])).sum(1)
    log_sum, better = true_scores, torch.zeros_like(true_ids)
    block = min(max(BLOCK_BYTES // (4 * max(len(query), 1)), 1), domain.size)
    for first in range(domain.min_id, domain.max_id + 1, block):
        ids = torch.arange(first, min(first + block, domain.max_id + 1), device=query.device)
        with full_precision(query):
            scores = query @ bounded(item_vectors[first : first + len(ids)]).T
        scores = scores.masked_fill(is_no_negative(true_ids, ids, excluded_ids), MASKED)
        better = better + (scores > true_scores[:, None]).sum(1)
        log_sum = torch.logaddexp(log_sum, torch.logsumexp(scores, 1))
    return log_sum - true_scores, better
