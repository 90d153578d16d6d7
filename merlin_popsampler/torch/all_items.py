"""Computes the full softmax in training, with every item as a negative, in bounded memory."""

from typing import Any, Optional, Tuple

import torch
from torch.nn import functional

from merlin_popsampler.contract.negatives import nothing_sampled_error
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.scores import BLOCK_BYTES, LARGEST, MASKED
from merlin_popsampler.errors import PopSamplerError

from .id_lists import IdLists
from .item_table import catalog_vectors, check_width, look_up
from .logits import accidental_hits, clip_finite, full_precision


class AllItems(torch.nn.Module):  # type: ignore[misc]
    """Takes every item as a negative of every row: the loss is the full softmax.

    All expected counts are 1. So `correct_positive` and `logq_strength` change nothing, and hard
    negatives are in the sum anyway. Only the `excluded_ids` of a row are left out.

    Args:
      max_id: last id that stands for an item, inclusive.
      min_id: first id that stands for an item, inclusive.

    Raises:
      PopSamplerError: the ids are not integers, or are out of range.

    Examples:
      >>> from merlin_popsampler.torch import SampledSoftmaxLoss
      >>> loss = SampledSoftmaxLoss(AllItems(max_id=1002, min_id=3), temperature=0.1)
      >>> items = torch.nn.Embedding(1003, 64)
      >>> mean = loss(torch.zeros(2, 64), torch.tensor([3, 900]), items)
      >>> mean.backward()
      >>> round(mean.item(), 4)  # log(1000), as all scores are equal
      6.9078
    """

    def __init__(self, max_id: int, min_id: int = 0) -> None:
        super().__init__()
        self.domain = IdDomain(min_id, max_id)

    def checked_values(self, sampled_values: Any, _: torch.device) -> Any:
        """Raises a PopSamplerError, since nothing is sampled; `Mixture` checks the values."""
        raise nothing_sampled_error(sampled_values)

    def losses(
        self, query: torch.Tensor, true_ids: torch.Tensor, table: Any, excluded: Optional[IdLists]
    ) -> torch.Tensor:
        """Computes the cross-entropy of the full softmax, with a gradient: float32 `[rows]`, nats.

        Args:
          query: float32 `[rows, dim]`, the result of `scale_by_temperature`.
          true_ids: int64 `[rows]`, ids of items.
          table: the result of `checked_table`.
          excluded: ids that are left out for a row, or None.

        Raises:
          PopSamplerError: the table has a sparse gradient.
        """
        vectors, first = _dense_vectors(table, self.domain)
        check_width(query, vectors)
        lists = () if excluded is None else excluded
        with full_precision(query):
            others, true = _Scores.apply(query, vectors, true_ids, self.domain, first, *lists)
        losses: torch.Tensor = functional.softplus(others - true)
        return losses

    def extra_repr(self) -> str:
        return f"ids {self.domain.min_id} to {self.domain.max_id}"


def _dense_vectors(table: Any, domain: IdDomain) -> Tuple[torch.Tensor, int]:
    """Returns vectors `[n, dim]` that have a dense gradient, and the row of the first item."""
    if getattr(table, "sparse", False):
        raise PopSamplerError(
            "Expected a table with a dense gradient with AllItems, since every row has one and a "
            "sparse gradient would take more memory. Received: an Embedding with sparse=True. Make "
            "it with sparse=False, or sample the negatives."
        )
    vectors = catalog_vectors(table)
    # Calling the module, since it leaves the row of `padding_idx` without a gradient.
    if callable(vectors) or getattr(table, "padding_idx", None) is not None:
        device = next((each.device for each in table.parameters()), None)
        return look_up(table, domain.id(torch.arange(domain.size, device=device))), 0
    return vectors, domain.min_id


class _Scores(torch.autograd.Function):  # type: ignore[misc]
    """Computes the log-sum-exp of the scores of all other items, and each positive's score.

    Scores are recomputed block by block in the backward pass. The gradient of the table is one
    dense tensor, so that the memory does not hold a second one.
    """

    @staticmethod
    def forward(
        query: torch.Tensor,
        vectors: torch.Tensor,
        true_ids: torch.Tensor,
        domain: IdDomain,
        first: int,
        *lists: Any,
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        own = clip_finite(vectors[true_ids - domain.min_id + first])
        others = query.new_full((len(query),), MASKED)
        for rows, ids in _blocks(query, domain, first):
            scores = query @ clip_finite(vectors[rows]).T
            scores.masked_fill_(_left_out(true_ids, ids, lists), MASKED)
            others = torch.logaddexp(others, scores.logsumexp(1))
        return others, (query * own).sum(1)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        query, vectors, true_ids, ctx.domain, ctx.first, *lists = inputs
        ctx.save_for_backward(query, vectors, true_ids, output[0], *lists)

    # It consists of differentiable operations, so second derivatives are correct. They take memory
    # for all scores.
    @staticmethod
    def backward(ctx: Any, of_others: torch.Tensor, of_true: torch.Tensor) -> Tuple[Any, ...]:
        query, vectors, true_ids, others, *lists = ctx.saved_tensors
        domain, first, of_table = ctx.domain, ctx.first, ctx.needs_input_grad[1]
        with full_precision(query):
            places = true_ids - domain.min_id + first
            own = vectors[places]
            of_query = of_true[:, None] * clip_finite(own)
            gradients = torch.zeros_like(vectors) if of_table else None
            for rows, ids in _blocks(query, domain, first):
                block = clip_finite(vectors[rows])
                probs = (query @ block.T - others[:, None]).exp()
                probs = probs.masked_fill(_left_out(true_ids, ids, lists), 0.0)
                of_query = of_query + (probs @ block) * of_others[:, None]
                if gradients is not None:
                    of_block = probs.T @ (query * of_others[:, None])
                    gradients[rows] = of_block * (vectors[rows].abs() <= LARGEST)
            if gradients is not None:
                of_own = of_true[:, None] * query * (own.abs() <= LARGEST)
                gradients.index_add_(0, places, of_own.to(gradients.dtype))
        return (of_query, gradients, *(None for _ in ctx.needs_input_grad[2:]))


def _left_out(true_ids: torch.Tensor, ids: torch.Tensor, lists: Any) -> torch.Tensor:
    excluded = IdLists(*lists) if lists else None
    return accidental_hits(true_ids, ids, excluded)


def _blocks(query: torch.Tensor, domain: IdDomain, first: int) -> Any:
    """Yields rows of the vectors, a slice, and the ids of these items."""
    # A few matrices of the size of a block exist at a time.
    size = min(max(BLOCK_BYTES // (16 * max(*query.shape, 1)), 1), domain.size)
    for start in range(0, domain.size, size):
        stop = min(start + size, domain.size)
        ids = domain.id(torch.arange(start, stop, device=query.device))
        yield slice(first + start, first + stop), ids
