"""Defines a PyTorch module that trains on sampled negatives and evaluates on all items."""

from typing import Any, NamedTuple, Optional, Tuple

import torch

from merlin_popsampler.core.checks import flag, fraction, positive_number
from merlin_popsampler.errors import PopSamplerError

from .all_items import AllItems
from .blocked_logits import blocked_logits, is_large
from .hard_negatives import hard_log_sums, hard_negatives
from .id_lists import IdLists, as_id_lists, join
from .ids import as_dense_ids, dense
from .item_table import catalog_vectors, check_width, checked_table, look_up
from .logits import Candidates, contrastive_logits, cross_entropy, scale_by_temperature
from .negatives import as_mixture
from .observation import Observation, step_numbers
from .rank_group import RankGroup
from .whole_catalog import score_catalog

REDUCTIONS = ("mean", "sum", "none")


class Batch(NamedTuple):
    """Holds the checked arguments of a call, flattened to rows.

    Attributes:
      queries: floats `[rows, dim]`, 0 for a row without an item.
      ids: int64 `[rows]`, the positives.
      safe_ids: int64 `[rows]`, the positives, replaced by an item's id in rows without an item.
      has_item: bool `[rows]`, whether the positive stands for an item.
      table: the item vectors, as the caller passed them.
      excluded: `IdLists` of excluded ids, or None.
    """

    queries: torch.Tensor
    ids: torch.Tensor
    safe_ids: torch.Tensor
    has_item: torch.Tensor
    table: Any
    excluded: Optional[IdLists]


class SampledSoftmaxLoss(torch.nn.Module):  # type: ignore[misc]
    """Computes the softmax cross-entropy of positives: sampled in training, full in evaluation.

    In training mode, which is the default, it is the sampled softmax with logQ correction, see
    `contrastive_logits`. After `eval()` it is the full softmax over the catalog, without a
    gradient, in blocks of 64 MB. Rows with a reserved id (padding, null, out of vocabulary) have a
    loss of 0, and "mean" does not count them.

    Args:
      negatives: a `PopularityBasedSampler`, an `InBatch`, a list of these, a `Mixture`, or
        `AllItems` for the full softmax. It becomes a submodule, so `state_dict` contains the
        position in the stream of draws.
      temperature: positive number; scores are divided by it.
      correct_positive: whether the logQ correction applies to the positive as well; see
        `contrastive_logits`.
      logq_strength: from 0 to 1, the strength of the logQ correction; see `contrastive_logits`.
      reduction: "mean" divides the sum by the number of rows with an item; without such rows the
        loss is 0. "sum" does not divide, and "none" returns the loss of each row.
      across_ranks: whether the mean is over the rows of all ranks of DistributedDataParallel or
        FSDP. By default the gradient is the mean of the ranks' means, so a row weighs more on a
        rank with few rows. If set, each training step sums the numbers of rows with one all-reduce,
        which every rank must run, even without items. The loss is then the mean of the ranks'
        results. Evaluation and `torch.no_grad` do not communicate. With `InBatch(gather=True)` the
        mean is over the rows of the gathered ranks anyway.

    Raises:
      PopSamplerError: see `Mixture`; the reduction is unknown, or not "mean" with `across_ranks`;
        or `temperature` or `logq_strength` is out of range.

    Examples:
      >>> from merlin_popsampler.torch import PopularityBasedSampler
      >>> sampler = PopularityBasedSampler(max_id=1002, min_id=3, max_num_samples=100, seed=7)
      >>> loss = SampledSoftmaxLoss(sampler, temperature=0.1)
      >>> items = torch.nn.Embedding(sampler.max_id + 1, 16)
      >>> loss(torch.randn(2, 16), torch.tensor([3, 900]), items).backward()
    """

    def __init__(
        self,
        negatives: Any,
        temperature: float = 1.0,
        *,
        correct_positive: bool = True,
        logq_strength: float = 1.0,
        reduction: str = "mean",
        across_ranks: bool = False,
    ) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise PopSamplerError(
                f"Expected reduction in {REDUCTIONS}. Received: {reduction!r}. "
                "Take 'mean' for the mean over the rows with an item."
            )
        if across_ranks and reduction != "mean":
            raise PopSamplerError(
                f"Expected reduction='mean' with across_ranks=True. Received: {reduction!r}. "
                "Leave across_ranks out: sums need no common divisor."
            )
        is_full = isinstance(negatives, AllItems)
        self.negatives = negatives if is_full else as_mixture(negatives)
        self.temperature = positive_number(
            "temperature",
            temperature,
            "Pass 1.0 for scores as they are. To learn a temperature, divide the queries by it.",
        )
        self.correct_positive = flag("correct_positive", correct_positive)
        self.logq_strength = fraction(
            "logq_strength", logq_strength, "Pass 1.0 for the whole correction."
        )
        self.reduction = reduction
        self.across_ranks = flag("across_ranks", across_ranks)
        # Set by a SamplingMonitor.
        self.observation: Optional[Observation] = None

    def forward(
        self,
        queries: torch.Tensor,
        true_ids: Any,
        item_table: Any,
        excluded_ids: Any = None,
        *,
        hard_negative_ids: Any = None,
        sampled_values: Any = None,
    ) -> torch.Tensor:
        """Computes the loss.

        Args:
          queries: floats `[*, dim]`, with any number of leading dimensions, which form the rows.
          true_ids: integers `[*]` or `[*, 1]`, the positive of each row.
          item_table: item vectors: an `nn.Embedding` of at least `max_id + 1` rows (with a sparse
            gradient if it was made with `sparse=True`); a tensor `[max_id + 1 or more, dim]`; or
            another module that maps int64 ids `[n]` to vectors `[n, dim]`. The loss does not change
            the mode (training or evaluation) of a module.
          excluded_ids: ids that are not negatives of a row, such as its history: integers `[*, n]`,
            where a leading dimension of 1 is repeated, or `[rows, n]`, dense or nested.
          hard_negative_ids: ids that enter the softmax of a row with an expected count of 1, in the
            forms of `excluded_ids`. They may depend on the row, but not on the samples. An id that
            is sampled as well, or repeated, enters once. The row's positive, its excluded ids and
            reserved ids (padding) do not enter. An evaluation only checks this argument.
          sampled_values: a pair of ids `[n]` and expected counts `[n]`, in place of new draws, for
            example of a `Mixture` in a data loader. n is the sum of the samplers'
            `max_num_samples`. The counts are those over all samplers; the loss adds the expected
            counts in the batch, and computes those of the positives. Each id must have a row in the
            table. An evaluation only checks this argument.

        Returns:
          float32 in nats: a scalar, or `[*]` for reduction="none".

        Raises:
          PopSamplerError: ids have another shape or are not integers, the table has too few rows,
            or `sampled_values` has another length.
        """
        batch = self._checked(queries, true_ids, item_table, excluded_ids)
        hard = None
        if hard_negative_ids is not None:
            shape, device = queries.shape[:-1], queries.device
            hard = as_id_lists("hard_negative_ids", hard_negative_ids, shape, device)
        if sampled_values is not None:
            sampled_values = self.negatives.checked_values(sampled_values, queries.device)
        if not self.training:
            losses = self._ranked(batch)[0]
        elif isinstance(self.negatives, AllItems):
            query = scale_by_temperature(batch.queries, self.temperature)
            losses = self.negatives.losses(query, batch.safe_ids, batch.table, batch.excluded)
        else:
            losses = self._sampled(batch, hard, sampled_values)
        losses = torch.where(batch.has_item, losses, 0.0)
        if self.reduction == "none":
            return losses.reshape(queries.shape[:-1])
        total = losses.sum()
        return total / self._divisor(batch.has_item) if self.reduction == "mean" else total

    def evaluate(
        self, queries: torch.Tensor, true_ids: Any, item_table: Any, excluded_ids: Any = None
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Computes the full softmax loss and the rank of each positive, in training mode as well.

        Args:
          queries: see `forward`.
          true_ids: see `forward`.
          item_table: see `forward`.
          excluded_ids: see `forward`; these ids are not ranked.

        Returns:
          Cross-entropy of the full softmax in nats (float32 `[*]`), and the rank among all items
          (int64 `[*]`, 0 for the best). Rows with a reserved id have the loss 0 and the rank -1.
          The rank is the number of other items whose score is greater, equal or NaN. So ties count
          against the positive, and a positive whose score is NaN has the worst rank.

        Raises:
          PopSamplerError: see `forward`.

        Examples:
          >>> from merlin_popsampler.torch import PopularityBasedSampler
          >>> loss = SampledSoftmaxLoss(PopularityBasedSampler(max_id=4, max_num_samples=2))
          >>> losses, ranks = loss.evaluate(torch.eye(5)[:2], torch.tensor([0, 3]), torch.eye(5))
          >>> ranks.tolist()  # item 0 scores 1; item 3 scores 0, like three other items
          [0, 4]
          >>> (((0 <= ranks) & (ranks < 3)).sum() / (ranks >= 0).sum()).item()  # recall at 3
          0.5
        """
        batch = self._checked(queries, true_ids, item_table, excluded_ids)
        losses, ranks = self._ranked(batch)
        losses = torch.where(batch.has_item, losses, 0.0)
        ranks = torch.where(batch.has_item, ranks, -1)
        shape = queries.shape[:-1]
        return losses.reshape(shape), ranks.reshape(shape)

    def _divisor(self, counting: torch.Tensor) -> torch.Tensor:
        """Returns the number by which this rank's sum of losses is divided for reduction="mean"."""
        rows, ranks = counting.sum(), self._gathered_ranks()
        if self.across_ranks and self._communicates():
            ranks = RankGroup()
        if ranks is None:
            return rows.clamp(min=1)
        return ranks.add_up(rows).clamp(min=1) / ranks.size

    def _gathered_ranks(self) -> Optional[RankGroup]:
        """Returns the ranks whose positives are negatives of this rank's rows."""
        in_batch = getattr(self.negatives, "in_batch", None)
        return None if in_batch is None or not self._communicates() else in_batch.ranks

    def _communicates(self) -> bool:
        """Tests whether this call may wait for other ranks, which an evaluation must not do."""
        return bool(self.training and torch.is_grad_enabled())

    def _checked(
        self, queries: torch.Tensor, true_ids: Any, item_table: Any, excluded_ids: Any
    ) -> Batch:
        if not isinstance(queries, torch.Tensor):
            raise PopSamplerError(
                f"Expected queries as a tensor [*, dim]. Received: {type(queries).__name__}. Pass "
                "the output of your model, or torch.as_tensor of an array."
            )
        device, shape = dense("queries", queries).device, queries.shape[:-1]
        ids = as_dense_ids(true_ids, device, "true_ids")
        if ids.shape not in (shape, (*shape, 1)):
            raise PopSamplerError(
                f"Expected one item a query, ids {list(shape)} or {[*shape, 1]}. Received: "
                f"{list(ids.shape)}. Repeat the queries that have several, a row for each."
            )
        ids, domain = ids.reshape(-1), self.negatives.domain
        has_item = domain.contains(ids)
        if excluded_ids is not None:
            excluded_ids = as_id_lists("excluded_ids", excluded_ids, shape, device)
        # A NaN in the query of a padded position would reach the table's gradient as 0 * NaN.
        rows = torch.where(has_item[:, None], queries.reshape(len(ids), queries.shape[-1]), 0.0)
        # A reserved id may be outside of the table.
        safe_ids = torch.where(has_item, ids, domain.min_id)
        table = checked_table(item_table, domain.cardinality)
        return Batch(rows, ids, safe_ids, has_item, table, excluded_ids)

    def _sampled(
        self, batch: Batch, hard_lists: Optional[IdLists], sampled_values: Any
    ) -> torch.Tensor:
        domain, excluded = self.negatives.domain, batch.excluded
        ranks, joined = self._gathered_ranks(), None
        if ranks is not None:
            joined = ranks.joined_rows(len(batch.ids), batch.ids.device)
        draw = self.negatives.draw(batch.ids, sampled_values, joined)
        ids = [batch.safe_ids, draw.sampled_ids]
        if hard_lists is not None:
            hard = hard_negatives(hard_lists, batch.safe_ids, domain, excluded)
            excluded = join(excluded, hard_lists)
            ids.append(hard.safe_ids)
        vectors = look_up(batch.table, torch.cat(ids)).split([len(part) for part in ids])
        check_width(batch.queries, vectors[0])
        negative = vectors[1]
        if self.negatives.in_batch is not None:
            # A mask does not remove a NaN.
            own = torch.where(batch.has_item[:, None], vectors[0], 0.0)
            if joined is not None:
                own = joined.join(own.to(torch.float32))
            negative = torch.cat([own, negative])
        positive = Candidates(vectors[0], batch.ids, draw.true_counts)
        candidates = Candidates(negative, draw.ids, draw.counts)
        if self.observation is not None:
            self._observe(self.observation, batch, positive, candidates, excluded)
        logits_of = (
            blocked_logits if is_large(len(batch.ids), len(draw.ids)) else contrastive_logits
        )
        logits = logits_of(
            batch.queries,
            positive,
            candidates,
            domain,
            self.temperature,
            excluded,
            self.correct_positive,
            self.logq_strength,
        )
        if hard_lists is None:
            return cross_entropy(*logits)
        hard_sums = hard_log_sums(batch.queries, hard, vectors[2], self.temperature)
        return cross_entropy(*logits, hard_sums)

    def _observe(
        self,
        observation: Observation,
        batch: Batch,
        positive: Candidates,
        negative: Candidates,
        excluded: Optional[IdLists],
    ) -> None:
        observation.note(negative.ids, self.negatives.domain)
        if observation.due:
            observation.numbers = step_numbers(
                batch.queries,
                positive,
                negative,
                batch.has_item,
                self.negatives.domain,
                self.temperature,
                excluded,
                self.correct_positive,
                self.logq_strength,
                self.negatives.in_batch is not None,
            )

    def _ranked(self, batch: Batch) -> Tuple[torch.Tensor, torch.Tensor]:
        vectors, domain = catalog_vectors(batch.table), self.negatives.domain
        answer: Tuple[torch.Tensor, torch.Tensor] = score_catalog(
            batch.queries, batch.safe_ids, vectors, domain, self.temperature, batch.excluded
        )
        return answer
