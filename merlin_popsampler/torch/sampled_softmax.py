"""SampledSoftmaxLoss: a module that trains on sampled negatives and evaluates on all items."""

from typing import Any, Tuple

import torch
from torch.nn import functional

from merlin_popsampler.core.checks import positive_number
from merlin_popsampler.errors import PopSamplerError

from .ids import ids_of
from .logits import Candidates, contrastive_logits, cross_entropy
from .sampler import PopularityBasedSampler
from .whole_catalog import score_catalog

REDUCTIONS = ("mean", "sum", "none")


class SampledSoftmaxLoss(torch.nn.Module):  # type: ignore[misc]
    """Cross-entropy of each row's item: over samples in training, over the catalog in evaluation.

    In training (`train()`, as a module is made) the loss is `contrastive_logits`'s. After `eval()`
    it is that of the full softmax, without a gradient, in blocks of 64 MB. Rows whose positive
    stands for no item (padding, null, out of vocabulary) have none: their loss is 0, and "mean"
    does not count them.

    Args:
      sampler: draws the negatives; a part of this module, so that its `state_dict` has the stream.
      temperature: positive number; scores are divided by it.
      correct_positive: see `contrastive_logits`.
      reduction: "mean" divides the sum by the rows that count (0 where there is none); "sum" and
        "none" are unscaled.

    Raises:
      PopSamplerError: another reduction, a temperature that is none.

    Examples:
      >>> loss = SampledSoftmaxLoss(sampler, temperature=0.1)
      >>> items = torch.nn.Embedding(sampler.max_id + 1, 64)
      >>> loss(queries, true_ids, items).backward()
    """

    def __init__(
        self,
        sampler: PopularityBasedSampler,
        temperature: float = 1.0,
        *,
        correct_positive: bool = True,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise PopSamplerError(
                f"Expected reduction in {REDUCTIONS}. Received: {reduction!r}. "
                "Take 'mean' for the mean over the rows that count."
            )
        self.sampler = sampler
        self.temperature = positive_number(
            "temperature", temperature, "Pass 1.0 for scores as they are."
        )
        self.correct_positive = bool(correct_positive)
        self.reduction = reduction

    def forward(
        self, queries: torch.Tensor, true_ids: Any, item_table: Any, excluded_ids: Any = None
    ) -> torch.Tensor:
        """The loss, reduced.

        Args:
          queries: floats `[*, dim]`: any number of leading dimensions, each row a query.
          true_ids: integers `[*]` or `[*, 1]`, the item of each row.
          item_table: the items' vectors `[max_id + 1 or more, dim]`: an `nn.Embedding`, whose
            gradient is as sparse as it was made, or a tensor such as a weight, whose is dense.
          excluded_ids: integers `[rows, n]`, dense or nested, for the rows one after the other:
            what is no negative of a row.

        Returns:
          float32, nats: a scalar, or `[*]` for "none".

        Raises:
          PopSamplerError: ids of another shape or kind, a table with too few rows.
        """
        shape = queries.shape[:-1]
        rows, ids, counting = self._rows(queries, true_ids)
        _check_table(item_table, self.sampler.domain.cardinality)
        if self.training:
            losses = self._sampled(rows, ids, item_table, excluded_ids)
        else:
            losses, _ = self._ranked(rows, ids, counting, item_table, excluded_ids)
        losses = torch.where(counting, losses, 0.0)
        if self.reduction == "none":
            return losses.reshape(shape)
        total = losses.sum()
        return total / counting.sum().clamp(min=1) if self.reduction == "mean" else total

    def evaluate(
        self, queries: torch.Tensor, true_ids: Any, item_table: Any, excluded_ids: Any = None
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Loss and rank of each row's item among all items, whatever mode the module is in.

        It is called as the module itself.

        Returns:
          Cross-entropy of the full softmax in nats (float32 `[*]`, 0 where there is no item), and
          the number of items with a better score (int64 `[*]`, 0 for the best, -1 where there is
          no item). `((0 <= ranks) & (ranks < 20)).sum() / (ranks >= 0).sum()` is a recall at 20.
        """
        shape = queries.shape[:-1]
        rows, ids, counting = self._rows(queries, true_ids)
        _check_table(item_table, self.sampler.domain.cardinality)
        losses, ranks = self._ranked(rows, ids, counting, item_table, excluded_ids)
        losses, ranks = torch.where(counting, losses, 0.0), torch.where(counting, ranks, -1)
        return losses.reshape(shape), ranks.reshape(shape)

    def _rows(
        self, queries: torch.Tensor, true_ids: Any
    ) -> Tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries `[rows, dim]`, ids `[rows]`, and whether those stand for an item."""
        ids, shape = ids_of(true_ids, queries.device), queries.shape[:-1]
        if ids.shape not in (shape, (*shape, 1)):
            raise PopSamplerError(
                f"Expected one item a query, ids {list(shape)} or {[*shape, 1]}. Received: "
                f"{list(ids.shape)}. Repeat the queries that have several, a row for each."
            )
        ids = ids.reshape(-1)
        return queries.reshape(len(ids), queries.shape[-1]), ids, self.sampler.domain.contains(ids)

    def _sampled(
        self, queries: torch.Tensor, ids: torch.Tensor, table: Any, excluded_ids: Any
    ) -> torch.Tensor:
        domain, num = self.sampler.domain, len(ids)
        sampled_ids, true_counts, counts = self.sampler.sampled_values(ids)
        # An id that stands for no item may lie outside of the table.
        safe_ids = torch.where(domain.contains(ids), ids, domain.min_id)
        vectors = _look_up(table, torch.cat([safe_ids, sampled_ids]))
        logits = contrastive_logits(
            queries,
            Candidates(vectors[:num], ids, true_counts),
            Candidates(vectors[num:], sampled_ids, counts),
            domain,
            self.temperature,
            excluded_ids,
            self.correct_positive,
        )
        return cross_entropy(*logits)

    def _ranked(
        self,
        queries: torch.Tensor,
        ids: torch.Tensor,
        counting: torch.Tensor,
        table: Any,
        excluded_ids: Any,
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        domain = self.sampler.domain
        ids = torch.where(counting, ids, domain.min_id)
        answer: Tuple[torch.Tensor, torch.Tensor] = score_catalog(
            queries, ids, _weight(table), domain, self.temperature, excluded_ids
        )
        return answer


def _look_up(table: Any, ids: torch.Tensor) -> torch.Tensor:
    """Vectors of ids, by the module itself where there is one."""
    return table(ids) if isinstance(table, torch.nn.Module) else functional.embedding(ids, table)


def _weight(table: Any) -> Any:
    """The vectors of all items, of a module or by themselves."""
    return getattr(table, "weight", None) if isinstance(table, torch.nn.Module) else table


def _check_table(table: Any, cardinality: int) -> None:
    weight = _weight(table)
    shape = list(weight.shape) if isinstance(weight, torch.Tensor) else []
    if len(shape) != 2 or shape[0] < cardinality:
        raise PopSamplerError(
            f"Expected item vectors [rows, dim] with at least {cardinality} rows, max_id + 1. "
            f"Received: {type(table).__name__} of shape {shape}. "
            "Pass the Embedding of the items, made with num_embeddings=max_id + 1."
        )
