"""PopularityBasedSampler: the module that draws negatives with their expected counts."""

from typing import Any, NamedTuple, Optional

import torch

from merlin_popsampler.contract.catalog_sampler import CatalogSampler
from merlin_popsampler.contract.sampler_settings import (
    DistributionLike,
    resolve_distribution,
    validate_seed,
)
from merlin_popsampler.core.domain import IdDomain, MappedIds, id_domain
from merlin_popsampler.core.expected_counts import build_expected_counts
from merlin_popsampler.core.tables import probs_by_id
from merlin_popsampler.errors import PopSamplerError

from .expected_counts import ExpectedCountsOnDevice
from .ids import as_dense_ids
from .inverse_cdf import Edges
from .mapped_ids import MappedIdsOnDevice
from .ranks import make_draws
from .stream import Stream


class SampledValues(NamedTuple):
    """A batch of draws and its expected counts.

    Attributes:
      sampled_ids: int64 `[max_num_samples]`.
      true_expected_count: float32 of the true ids' shape.
      sampled_expected_count: float32 `[max_num_samples]`.
    """

    sampled_ids: torch.Tensor
    true_expected_count: torch.Tensor
    sampled_expected_count: torch.Tensor


class PopularityBasedSampler(CatalogSampler, torch.nn.Module):  # type: ignore[misc]
    """Samples item ids by popularity, for losses over a part of the catalog.

    Ids in frequency order need no table: the distribution gives an id's probability from its rank,
    `id - min_id`. Equal seeds give the draws of the Keras layer. The place in the stream is a
    buffer, so `state_dict` carries it; what is drawn from it is on the device that the module is
    on, without asking that device for a number.

    Args:
      max_id: last id that can be drawn, inclusive.
      min_id: first id that can be drawn, inclusive; those below are reserved and never drawn.
      max_num_samples: ids of one batch of draws, at least 1; if `unique` at most the items.
      seed: integer; equal seeds give equal streams of draws. None takes one from
        `torch.initial_seed()` at the first draw, so that all samplers without a seed draw one
        stream: give each of several a seed of its own.
      item_id_feature_name: name of the item ids' column, for calls with a batch of features.
      unique: whether the ids of a batch are distinct.
      distribution: a registered distribution's name, "log_uniform" or "uniform" for example; an
        object of `distributions`, or its configuration. (The measured distribution needs its steps:
        see `from_schema`.)
      share_across_replicas: whether all ranks of `torch.distributed` draw the same ids; else each
        draws its own.
      item_ids: integers `[items]`, the id of each rank, where ids are not in frequency order;
        `min_id` and `max_id` are the smallest and the largest. `from_counts` passes them.

    Raises:
      PopSamplerError: arguments that contradict each other or the catalog.

    Examples:
      >>> sampler = PopularityBasedSampler.from_schema(Dataset("train/").schema)
      >>> sampled_ids, true_expected_count, sampled_expected_count = sampler(true_ids)
    """

    def __init__(
        self,
        max_id: int,
        min_id: int = 0,
        max_num_samples: int = 100,
        seed: Optional[int] = None,
        item_id_feature_name: str = "item_id",
        *,
        unique: bool = True,
        distribution: DistributionLike = "log_uniform",
        share_across_replicas: bool = False,
        item_ids: Any = None,
    ) -> None:
        super().__init__()
        domain = id_domain(min_id, max_id, item_ids)
        self.domain = MappedIdsOnDevice(domain) if isinstance(domain, MappedIds) else domain
        self.distribution = resolve_distribution(distribution, self.domain)
        self.item_id_feature_name = item_id_feature_name
        self.unique = bool(unique)
        self.share_across_replicas = bool(share_across_replicas)
        self.stream = Stream(validate_seed(seed))
        self._edges = Edges(self.distribution.segments)
        self._one_draw = ExpectedCountsOnDevice(
            build_expected_counts(self.distribution, 1, unique=False), self._edges, outside=0.0
        )
        self.set_max_num_samples(max_num_samples)

    def set_max_num_samples(self, value: int) -> None:
        """Another number of samples, from the next call on; what is compiled is compiled anew.

        Raises:
          PopSamplerError: no such number, or one that this distribution cannot draw.
        """
        draws = make_draws(self.distribution, value, self.unique, self._edges)
        expected_counts = ExpectedCountsOnDevice(
            build_expected_counts(self.distribution, draws.num_sampled, self.unique), self._edges
        )
        self._max_num_samples = draws.num_sampled
        device = self.stream.device
        self._draws, self._expected_counts = draws.to(device), expected_counts.to(device)

    @property
    def seed(self) -> Optional[int]:
        """The stream's seed, as given."""
        return self.stream.seed

    def sample_ids(self) -> torch.Tensor:
        """The next batch of draws: int64 `[max_num_samples]`, ids from min_id to max_id."""
        self._device()
        place = self.stream.next_place(self.share_across_replicas)
        ids: torch.Tensor = self.domain.id(self._draws(*place))
        return ids

    def expected_count(self, ids: Any) -> torch.Tensor:
        """Expected number of times that each id is in one batch of draws.

        Args:
          ids: integers of any shape.

        Returns:
          float32 of the ids' shape, also under autocast: the inclusion probability if `unique`,
          else `max_num_samples * p`; 1.0 (a correction of 0) for ids never drawn.
        """
        return self._counts_of_ids(self._expected_counts, ids)

    def probability(self, ids: Any) -> torch.Tensor:
        """Probability that one draw gives an id: what a correction of in-batch negatives needs.

        Args:
          ids: as for `expected_count`.

        Returns:
          float32 of the ids' shape; 0.0 for ids never drawn.
        """
        return self._counts_of_ids(self._one_draw, ids)

    def sampled_values(self, true_ids: Any) -> SampledValues:
        """Returns draws with expected counts.

        Args:
          true_ids: integers of any shape.
        """
        true_ids = as_dense_ids(true_ids, self._device())
        sampled = self.sample_ids()
        # Looked up together: for so few ids, the number of operations is what costs.
        counts = self._expected_counts(self.domain.rank(torch.cat([sampled, true_ids.reshape(-1)])))
        num = self._max_num_samples
        return SampledValues(sampled, counts[num:].reshape(true_ids.shape), counts[:num])

    def forward(self, inputs: Any) -> SampledValues:
        """`sampled_values` of ids, or of those in a batch of features, a mapping by column."""
        is_batch = isinstance(inputs, dict)
        return self.sampled_values(inputs[self.item_id_feature_name] if is_batch else inputs)

    def sample(self, labels: Any) -> SampledValues:
        """`sampled_values`, as Transformers4Rec and Merlin's torch models ask their samplers.

        They take the expected counts for probabilities, and correct scores by their logarithms.
        """
        return self.sampled_values(labels)

    def get_distribution_probs(self) -> torch.Tensor:
        """Probability of one draw of every id: float32 `[max_id + 1]`, zero below min_id.

        It has the catalog's length, so it is for reports: training needs `expected_count` alone.

        Raises:
          PopSamplerError: more than a billion ids.
        """
        device, domain = self._device(), self.domain
        if isinstance(domain, IdDomain):
            return torch.from_numpy(probs_by_id(self.distribution, domain)).to(device)
        by_rank = torch.from_numpy(probs_by_id(self.distribution, IdDomain(0, domain.size - 1))).to(
            device
        )
        ids = domain.id(torch.arange(domain.size, device=device))
        return by_rank.new_zeros(domain.cardinality).index_copy(0, ids, by_rank)

    def extra_repr(self) -> str:
        return (
            f"{self.distribution!r}, ids {self.min_id} to {self.max_id}, "
            f"max_num_samples={self.max_num_samples}, unique={self.unique}"
        )

    def _counts_of_ids(self, expected_counts: ExpectedCountsOnDevice, ids: Any) -> torch.Tensor:
        ids = as_dense_ids(ids, self._device())
        counts: torch.Tensor = expected_counts(self.domain.rank(ids))
        return counts

    def _device(self) -> torch.device:
        """Where the module is, once its constants and the stream's state are there as well."""
        self._follow()
        device: torch.device = self.stream.device
        return device

    # Compilers cannot trace what moves a module: they run this once, before they see its tensors.
    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _follow(self) -> None:
        stream = self.stream
        device = stream.device
        if stream.state.device != device or self._edges.device != device:
            mapped = [self.domain] if isinstance(self.domain, torch.nn.Module) else []
            own = (stream, self._edges, self._one_draw, self._draws, self._expected_counts, *mapped)
            for part in own:  # not what a subclass adds: its parameters would be erased
                part.to_empty(device=device)  # which makes each anew, or moves it

    def __prepare_scriptable__(self) -> None:
        raise PopSamplerError(
            "Expected torch.compile or torch.export of a sampler. Received: torch.jit.script, "
            "which cannot express its state. Script the model without its loss."
        )
