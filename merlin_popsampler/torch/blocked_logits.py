"""Computes the loss of large batches without holding the whole matrix of logits."""

from typing import Any, Tuple

import torch

from merlin_popsampler.core.scores import LARGE_BYTES, MASKED

from .id_lists import IdLists, as_id_lists
from .logits import (
    Candidates,
    accidental_hits,
    clip_finite,
    discounts,
    full_precision,
    positive_logits,
    scale_by_temperature,
)

BLOCK_BYTES = 2**23
"""Size of one block of logits, 8 MB; a few of that size exist at a time.

A step takes the least memory at this size, since smaller blocks fragment the heap.
"""


def is_large(rows: int, num_sampled: int) -> bool:
    """Tests whether a matrix of logits is so large that it is computed in blocks."""
    return 4 * rows * num_sampled > LARGE_BYTES


def blocked_logits(
    query: torch.Tensor,
    positive: Candidates,
    negative: Candidates,
    domain: Any,
    temperature: Any = 1.0,
    excluded_ids: Any = None,
    correct_positive: bool = True,
    logq_strength: float = 1.0,
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Computes arguments of `cross_entropy` that give the same loss as `contrastive_logits`.

    Blocks of columns are computed in the forward pass, and again in the backward pass. The
    arguments are those of `contrastive_logits`.

    Returns:
      The logits of the positives (float32 `[rows]`), and the log-sum-exp of the logits of the
      negatives (float32 `[rows, 1]`).
    """
    query = scale_by_temperature(query, temperature)
    true_logits = positive_logits(query, positive, correct_positive, logq_strength)
    discount = discounts(negative, domain, logq_strength)
    lists: Tuple[Any, ...] = ()
    if excluded_ids is not None:
        lists = as_id_lists("excluded_ids", excluded_ids, query.shape[:1], query.device)
    vectors = clip_finite(negative.vectors)
    with full_precision(query):
        sums = _LogSums.apply(query, vectors, discount, positive.ids, negative.ids, *lists)
    return true_logits, sums[:, None]


class _LogSums(torch.autograd.Function):  # type: ignore[misc]
    """Computes the log-sum-exp of each row's logits, float32 `[rows]`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(query: torch.Tensor, vectors: torch.Tensor, *others: Any) -> torch.Tensor:
        sums = None
        for part in parts_of(query, vectors):
            block = block_of(query, vectors, part, *others).logsumexp(1)
            sums = block if sums is None else torch.logaddexp(sums, block)
        return sums

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: torch.Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    # It consists of differentiable operations, so second derivatives are correct. They take memory
    # for all logits.
    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Tuple[Any, ...]:
        query, vectors, *others, sums = ctx.saved_tensors
        of_query, of_vectors = torch.zeros_like(query), []
        with full_precision(query):
            for part in parts_of(query, vectors):
                probs = (block_of(query, vectors, part, *others) - sums[:, None]).exp()
                of_query = of_query + (probs @ vectors[part]) * gradient[:, None]
                of_vectors.append(probs.T @ (query * gradient[:, None]))
        return (of_query, torch.cat(of_vectors), *(None for _ in others))


def block_of(
    query: torch.Tensor,
    vectors: torch.Tensor,
    part: slice,
    discount: torch.Tensor,
    true_ids: torch.Tensor,
    ids: torch.Tensor,
    *lists: torch.Tensor,
) -> torch.Tensor:
    """Computes one block of the logits that `contrastive_logits` computes at once.

    Args:
      query: float32 `[rows, dim]`, the result of `scale_by_temperature`.
      vectors: float32 `[num_sampled, dim]`, the result of `clip_finite`.
      part: the negatives of the block, a result of `parts_of`.
      discount: float32 `[num_sampled]`, the result of `discounts`.
      true_ids: int64 `[rows]`.
      ids: int64 `[num_sampled]`.
      *lists: the fields of the `IdLists` of excluded ids, if there are any.

    Returns:
      float32 `[rows, negatives of the block]`.
    """
    masked = accidental_hits(true_ids, ids[part], IdLists(*lists) if lists else None)
    scores = query @ vectors[part].T
    return scores - torch.where(masked, -MASKED, discount[part])


def parts_of(query: torch.Tensor, vectors: torch.Tensor) -> Any:
    """Returns slices that divide the negatives into blocks of about `BLOCK_BYTES` of logits."""
    width = max(BLOCK_BYTES // (4 * max(len(query), 1)), 1)
    return [slice(first, first + width) for first in range(0, len(vectors), width)]
