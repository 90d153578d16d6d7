"""Combines sampled and in-batch negatives, and computes their joint expected counts."""

from typing import Any, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch

from merlin_popsampler.contract.negatives import (
    domains_error,
    sampled_values_error,
    sources_error,
)
from merlin_popsampler.contract.sampler_settings import (
    DistributionLike,
    measured_distribution,
    sampler_kwargs_from_counts,
    sampler_kwargs_from_schema,
)
from merlin_popsampler.core.checks import flag
from merlin_popsampler.core.distributions import Empirical
from merlin_popsampler.core.domain import IdDomain, MappedIds, id_domain
from merlin_popsampler.core.expected_counts import build_expected_counts
from merlin_popsampler.errors import PopSamplerError

from .expected_counts import ExpectedCountsOnDevice
from .ids import as_dense_ids
from .inverse_cdf import Edges
from .mapped_ids import MappedIdsOnDevice
from .rank_group import JoinedRows, RankGroup
from .sampler import PopularityBasedSampler

Source = Union[PopularityBasedSampler, "InBatch"]


class InBatch(torch.nn.Module):  # type: ignore[misc]
    """Uses the positives of the other rows of a batch as negatives of a row.

    They occur as often as in the data, so their logQ correction needs the measured distribution.
    Among the other `rows - 1` rows, id d is expected `(rows - 1) p(d)` times.

    With `gather`, a training step uses the positives of all ranks of `torch.distributed`, whose
    numbers of rows may differ. `rows` is then the number of rows of all ranks, and a loss with
    reduction="mean" is the mean over them. Under DistributedDataParallel or FSDP, loss and
    gradients equal those of one process with the joined batch, if samplers share their draws
    (`share_across_replicas=True`). Gradients flow back to the rank that computed a vector, so every
    rank must run the forward and the backward pass. Evaluation and `torch.no_grad` do not
    communicate.

    Args:
      max_id: last id that stands for an item, inclusive.
      min_id: first id that stands for an item, inclusive.
      distribution: the measured distribution of the data, `distributions.Empirical` with
        `distortion=1.0`, or its configuration. `from_schema` and `from_counts` pass it.
      item_ids: integers `[items]`, the id of each popularity rank, if ids are not in frequency
        order.
      gather: whether to use the positives of all ranks of `torch.distributed`.
      process_group: the ranks that `gather` joins; None is all ranks.

    Attributes:
      ranks: the `RankGroup` whose positives are gathered, or None.

    Raises:
      PopSamplerError: the distribution is not the measured one, or has another number of ids; or a
        process group is passed without `gather`.

    Examples:
      >>> import numpy as np
      >>> in_batch = InBatch.from_counts(np.array([3, 1, 2]))
      >>> in_batch.expected_count([0, 1, 2], rows=7).tolist()
      [3.0, 1.0, 2.0]
    """

    def __init__(
        self,
        max_id: int,
        min_id: int = 0,
        *,
        distribution: DistributionLike,
        item_ids: Any = None,
        gather: bool = False,
        process_group: Any = None,
    ) -> None:
        super().__init__()
        domain = id_domain(min_id, max_id, item_ids)
        self.domain = MappedIdsOnDevice(domain) if isinstance(domain, MappedIds) else domain
        self.distribution = measured_distribution(distribution, self.domain)
        table = build_expected_counts(self.distribution, 1, unique=False, outside=0.0)
        self._edges = Edges(self.distribution.segments)
        self._one_draw = ExpectedCountsOnDevice(table, self._edges)
        gathers = flag("gather", gather)
        if process_group is not None and not gathers:
            raise PopSamplerError(
                "Expected a process_group of ranks whose positives are gathered. Received: one, "
                f"and gather={gather!r}. Pass gather=True with it, or leave it out."
            )
        self.ranks = RankGroup(process_group) if gathers else None

    def __repr__(self) -> str:
        # Without the tables inside, which would hide the rest of a printed model.
        ids, gather = f"ids {self.domain.min_id} to {self.domain.max_id}", self.ranks is not None
        return f"{type(self).__name__}({self.distribution!r}, {ids}, gather={gather})"

    @classmethod
    def from_schema(cls, schema: Any, column: Optional[str] = None, **settings: Any) -> "InBatch":
        """Builds the in-batch negatives for the item ids of a data set.

        Args:
          schema: see `PopularityBasedSampler.from_schema`.
          column: name of the item-id column; None finds it by its tag.
          **settings: `gather` and `process_group`.

        Raises:
          SchemaError: see `read_popularity`; or the schema has no measured counts.
        """
        found = sampler_kwargs_from_schema(schema, column, 1.0, {"distribution": Empirical.name})
        del found["item_id_feature_name"]
        return cls(**found, **settings)

    @classmethod
    def from_counts(
        cls, counts: Any, *, reserved_ids: Iterable[int] = (), **settings: Any
    ) -> "InBatch":
        """Builds the in-batch negatives from occurrences by item id, in any order.

        Args:
          counts: occurrences by integer id; see `popularity_from` for the forms.
          reserved_ids: ids that do not stand for an item, such as padding.
          **settings: `gather` and `process_group`.

        Raises:
          PopSamplerError: see `popularity_from`.
        """
        return cls(**sampler_kwargs_from_counts(counts, reserved_ids, 1.0, settings))

    def expected_count(self, ids: Any, rows: Any) -> torch.Tensor:
        """Returns how often ids are expected among the other rows of a batch.

        Args:
          ids: integers of any shape.
          rows: integer or scalar tensor, the number of rows of the batch with an item.

        Returns:
          float32 of the ids' shape, `(rows - 1) p(id)`; 0.0 for reserved ids.
        """
        ids = as_dense_ids(ids, self.device)
        others = torch.as_tensor(rows, device=self.device).sub(1).clamp(min=0)
        counts: torch.Tensor = self._one_draw(self.domain.rank(ids)) * others
        return counts

    @property
    def device(self) -> torch.device:
        """The device of the module."""
        device: torch.device = self._edges.device
        return device


class Draw(NamedTuple):
    """Holds the negatives that all rows of a batch share, and their expected counts.

    Attributes:
      sampled_ids: int64 `[k]`, the draws of the samplers.
      ids: int64 `[n]`, all negatives: with in-batch negatives, the positives of the batch (of all
        ranks if they are gathered), then `sampled_ids`.
      counts: float32 `[n]`, expected counts of `ids`.
      true_counts: float32 `[rows]`, expected counts of the positives.
    """

    sampled_ids: torch.Tensor
    ids: torch.Tensor
    counts: torch.Tensor
    true_counts: torch.Tensor


class Mixture(torch.nn.Module):  # type: ignore[misc]
    """Combines negatives of several sources, with the logQ correction for all sources together.

    The expected count of an id is the sum of its expected counts over the sources, whichever source
    drew it. Repeats are kept. So the sum of `exp(score) / expected count` over the negatives is an
    unbiased estimate of the sum of `exp(score)` over the catalog without the row's positive.

    Args:
      sources: `PopularityBasedSampler`, and at most one `InBatch`, over the same ids; at least
        one source.

    Raises:
      PopSamplerError: there are no sources, sources of another type, several `InBatch`, or sources
        over different ids.

    Examples:
      >>> import numpy as np
      >>> counts = np.array([3, 1, 2])
      >>> sampler = PopularityBasedSampler.from_counts(counts, max_num_samples=3)
      >>> mixture = Mixture([sampler, InBatch.from_counts(counts)])
      >>> mixture.expected_count([0, 1, 2], rows=7).tolist()
      [4.0, 2.0, 3.0]
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        super().__init__()
        self.sources = torch.nn.ModuleList(_checked(sources))

    @property
    def domain(self) -> Any:
        """The ids that stand for an item."""
        return self.sources[0].domain

    @property
    def in_batch(self) -> Optional[InBatch]:
        """The `InBatch` source, or None."""
        for source in self.sources:  # PyTorch 2.4 does not compile next()
            if isinstance(source, InBatch):
                return source
        return None

    @property
    def samplers(self) -> List[PopularityBasedSampler]:
        """The sources that are samplers."""
        return [source for source in self.sources if not isinstance(source, InBatch)]

    def sample_ids(self) -> torch.Tensor:
        """Draws the next batch of every sampler, int64 `[sum of max_num_samples]`."""
        drawn = [sampler.sample_ids() for sampler in self.samplers]
        if not drawn:
            return torch.zeros(0, dtype=torch.int64, device=self.sources[0].device)
        return drawn[0] if len(drawn) == 1 else torch.cat(drawn)

    def expected_count(self, ids: Any, rows: Any) -> torch.Tensor:
        """Returns how often ids are expected among the negatives of a row.

        Args:
          ids: integers of any shape.
          rows: integer or scalar tensor, the number of rows of the batch with an item, for
            `InBatch`. Without that source it has no effect.

        Returns:
          float32 of the ids' shape, above 0. Ids that are never a negative get 1.0, a correction
          of 0.
        """
        return self._with_batch([s.expected_count(ids) for s in self.samplers], ids, rows)

    def draw(
        self,
        true_ids: torch.Tensor,
        sampled_values: Any = None,
        joined: Optional[JoinedRows] = None,
    ) -> Draw:
        """Draws the negatives of a batch, and computes their expected counts.

        Args:
          true_ids: int64 `[rows]`, the positive of each row.
          sampled_values: None, or the result of `checked_values`, which replaces new draws.
          joined: the rows of all ranks if they are gathered to one batch, or None.

        Returns:
          The `Draw`: ids and expected counts of the negatives, expected counts of the positives.
        """
        source, own = self.sources[0], slice(0, len(true_ids))
        is_alone = len(self.sources) == 1 and type(source) is PopularityBasedSampler
        if is_alone and sampled_values is None and joined is None:
            # One kernel on a GPU. A subclass may have replaced the parts of this.
            sampled_ids, true_counts, counts = source.sampled_values(true_ids)
            return Draw(sampled_ids, sampled_ids, counts, true_counts)
        if joined is not None:
            true_ids, own = joined.join(true_ids), joined.own
        rows, here = self.domain.contains(true_ids).sum(), len(true_ids)
        if sampled_values is None:
            sampled_ids = self.sample_ids()
            # Looked up together, since for few ids the number of operations determines the time.
            counts = self.expected_count(torch.cat([true_ids, sampled_ids]), rows)
        else:
            sampled_ids, given = sampled_values
            counts = torch.cat(
                [
                    self.expected_count(true_ids, rows),
                    self._with_batch([given], sampled_ids, rows),
                ]
            )
        if self.in_batch is None:
            return Draw(sampled_ids, sampled_ids, counts[here:], counts[own])
        return Draw(sampled_ids, torch.cat([true_ids, sampled_ids]), counts, counts[own])

    def checked_values(self, sampled_values: Any, device: torch.device) -> Tuple[Any, Any]:
        """Converts ids and expected counts that the caller passes instead of new draws.

        Args:
          sampled_values: a pair of ids and expected counts over all samplers, both
            `[sum of max_num_samples]`.
          device: device of the result.

        Returns:
          The ids (int64) and the expected counts (float32).

        Raises:
          PopSamplerError: the value is not such a pair, or has another length.
        """
        num = sum(sampler.max_num_samples for sampler in self.samplers)
        pair = sampled_values if isinstance(sampled_values, (tuple, list)) else (sampled_values,)
        if len(pair) == 2 and pair[1] is not None:
            ids = as_dense_ids(pair[0], device, "sampled_values")
            counts = torch.as_tensor(pair[1], dtype=torch.float32, device=device).detach()
            if ids.shape == counts.shape == (num,) and num:
                return ids, counts
        shapes = [list(getattr(part, "shape", [type(part).__name__])) for part in pair]
        raise sampled_values_error(num, sampled_values, shapes)

    def _with_batch(self, counts: List[torch.Tensor], ids: Any, rows: Any) -> torch.Tensor:
        """Adds expected counts over samplers, and those in the batch if `InBatch` is a source."""
        in_batch = self.in_batch
        if in_batch is not None:
            counts = [*counts, in_batch.expected_count(ids, rows)]
        total = sum(counts[1:], counts[0])
        outside = ~self.domain.contains(as_dense_ids(ids, total.device))
        return total.masked_fill(outside | (total <= 0.0), 1.0)


def as_mixture(negatives: Any) -> Mixture:
    """Converts a source, a list of sources or a `Mixture` to a `Mixture`, which checks them."""
    return negatives if isinstance(negatives, Mixture) else Mixture(negatives)


def _checked(sources: Any) -> List[Source]:
    """Returns the sources as a list, and raises an error if a `Mixture` cannot combine them."""
    several = isinstance(sources, (list, tuple, torch.nn.ModuleList))
    checked: List[Source] = list(sources) if several else [sources]
    kinds = [type(source).__name__ for source in checked]
    fine = all(isinstance(source, (PopularityBasedSampler, InBatch)) for source in checked)
    if not (checked and fine and sum(isinstance(each, InBatch) for each in checked) <= 1):
        raise sources_error(kinds)
    if not all(_same(checked[0].domain, source.domain) for source in checked[1:]):
        ranges = [f"{source.domain.min_id} to {source.domain.max_id}" for source in checked]
        raise domains_error(ranges)
    return checked


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, IdDomain) or isinstance(other, IdDomain):
        return bool(one == other)
    return bool(torch.equal(one.get_extra_state(), other.get_extra_state()))
