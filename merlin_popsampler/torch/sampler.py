"""Defines the PyTorch module that draws negatives and computes their expected counts."""

from typing import Any, NamedTuple, Optional, Tuple

import torch

from merlin_popsampler.contract.catalog_sampler import CatalogSampler
from merlin_popsampler.contract.sampler_settings import (
    DistributionLike,
    resolve_distribution,
    validate_seed,
)
from merlin_popsampler.core.checks import flag
from merlin_popsampler.core.domain import IdDomain, MappedIds, id_domain
from merlin_popsampler.core.draws import make_draws
from merlin_popsampler.core.expected_counts import build_expected_counts
from merlin_popsampler.core.tables import probs_by_id
from merlin_popsampler.errors import PopSamplerError

from . import kernel_draws
from .expected_counts import ExpectedCountsOnDevice
from .ids import as_dense_ids
from .inverse_cdf import Edges
from .kernel_draws import KernelDraws
from .mapped_ids import MappedIdsOnDevice
from .rank_group import rank_to_draw_as
from .ranks import draws_on_device
from .stream import Stream


class SampledValues(NamedTuple):
    """Holds a batch of draws, and the expected counts of positives and draws.

    Attributes:
      sampled_ids: int64 `[max_num_samples]`, the draws.
      true_expected_count: float32 of the positives' shape, their expected counts.
      sampled_expected_count: float32 `[max_num_samples]`, the expected counts of the draws.
    """

    sampled_ids: torch.Tensor
    true_expected_count: torch.Tensor
    sampled_expected_count: torch.Tensor


class PopularityBasedSampler(CatalogSampler, torch.nn.Module):  # type: ignore[misc]
    """Samples item ids by popularity, as negatives of a sampled softmax.

    Ids in frequency order need no table, since the probability of an id follows from its rank,
    `id - min_id`. Equal seeds give the same draws as the Keras layer. `state_dict` contains the
    position in the stream of draws. The module's device draws. The host does not wait for it,
    except at the first draw on a GPU, see `KernelDraws`.

    Args:
      max_id: last id that can be drawn, inclusive.
      min_id: first id that can be drawn, inclusive; smaller ids are reserved and never drawn.
      max_num_samples: number of ids in a batch of draws, at least 1; at most the number of items if
        `unique`.
      seed: integer; equal seeds give equal streams of draws. None takes `torch.initial_seed()` at
        the first draw. Then all samplers without a seed draw the same ids, so give each of several
        samplers a seed.
      item_id_feature_name: name of the item-id column, for calls with a dict of features.
      unique: whether the ids of a batch are distinct (without replacement).
      distribution: the proposal distribution: a registered name, such as "log_uniform" or
        "uniform", an object of `distributions`, or its configuration. For the measured
        distribution, use `from_schema` or `from_counts`.
      share_across_replicas: whether all ranks of `torch.distributed` draw the same ids. By default
        they draw different ids.
      process_group: the ranks that draw the same ids with `share_across_replicas`, such as a
        tensor-parallel group. None is all ranks.
      item_ids: integers `[items]`, the id of each popularity rank, if ids are not in frequency
        order. `min_id` and `max_id` are the smallest and the largest of them. `from_counts` passes
        them.

    Raises:
      PopSamplerError: an argument is out of range, or arguments contradict each other.

    Examples:
      >>> sampler = PopularityBasedSampler(max_id=1002, min_id=3, max_num_samples=50, seed=17)
      >>> sampled_ids, true_count, sampled_count = sampler([[3], [900]])
      >>> len(set(sampled_ids.tolist())), true_count.shape
      (50, torch.Size([2, 1]))

      The measured distribution, of counts by id:

      >>> sampler = PopularityBasedSampler.from_counts({7: 50, 8: 90, 3: 10}, max_num_samples=1)
      >>> print(sampler.expected_count([8, 7, 3]).numpy().round(4))
      [0.6    0.3333 0.0667]
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
        process_group: Any = None,
        item_ids: Any = None,
    ) -> None:
        super().__init__()
        domain = id_domain(min_id, max_id, item_ids)
        self.domain = MappedIdsOnDevice(domain) if isinstance(domain, MappedIds) else domain
        self.distribution = resolve_distribution(distribution, self.domain)
        self.item_id_feature_name = item_id_feature_name
        self.unique = flag("unique", unique)
        self.share_across_replicas = flag("share_across_replicas", share_across_replicas)
        self._rank = rank_to_draw_as(self.share_across_replicas, process_group)
        self.stream = Stream(validate_seed(seed))
        self._edges = Edges(self.distribution.segments)
        self._one_draw = ExpectedCountsOnDevice(
            build_expected_counts(self.distribution, 1, unique=False, outside=0.0), self._edges
        )
        self.set_max_num_samples(max_num_samples)

    def set_max_num_samples(self, value: int) -> None:
        """Changes the number of samples, from the next call on; compiled code is recompiled.

        Args:
          value: the new `max_num_samples`, in the range of the constructor's argument.

        Raises:
          PopSamplerError: the number is out of range, or distinct draws need more than 2**31 - 1
            random numbers.
        """
        draws = make_draws(self.distribution, value, self.unique)
        table = build_expected_counts(self.distribution, draws.num_sampled, self.unique)
        self._max_num_samples = draws.num_sampled
        device = self.stream.device
        self._draws = draws_on_device(draws, self._edges).to(device)
        self._expected_counts = ExpectedCountsOnDevice(table, self._edges).to(device)
        self._kernel = KernelDraws(draws, table, self.domain).to(device)

    @property
    def seed(self) -> Optional[int]:
        """The `seed` argument."""
        return self.stream.seed

    def sample_ids(self) -> torch.Tensor:
        """Draws the next batch, int64 `[max_num_samples]`, ids from `min_id` to `max_id`."""
        if self._is_by_kernel(self._device()):
            key, position = self.stream.next_position(self._rank)
            ids, _ = self._kernel(self.domain, key, position, key.new_empty(0))
        else:
            ids = self.domain.id(self._draws(*self.stream.next_position(self._rank)))
        return ids

    def expected_count(self, ids: Any) -> torch.Tensor:
        """Returns how often each id is expected in a batch of draws.

        Args:
          ids: integers of any shape.

        Returns:
          float32 of the shape of `ids`, also under autocast. It is the inclusion probability if
          `unique`, and `max_num_samples * p` otherwise. Ids that are never drawn get 1.0, a
          correction of 0.
        """
        return self._counts_of_ids(self._expected_counts, ids)

    def probability(self, ids: Any) -> torch.Tensor:
        """Returns the probability of each id in one draw, for your own corrections.

        In-batch negatives come from the data, not from this sampler. `InBatch` computes their
        expected counts.

        Args:
          ids: see `expected_count`.

        Returns:
          float32 of the shape of `ids`; 0.0 for ids that are never drawn.
        """
        return self._counts_of_ids(self._one_draw, ids)

    def sampled_values(self, true_ids: Any) -> SampledValues:
        """Draws a batch, and computes the expected counts of positives and draws.

        Args:
          true_ids: integers of any shape, the positives.

        Returns:
          `SampledValues`: the draws, and the expected counts of the positives and of the draws.

        Raises:
          PopSamplerError: the ids are not integers; or the sampler is on the meta device, and
            they are not.
        """
        device = self._device()
        true_ids = as_dense_ids(true_ids, device)
        flat = true_ids.reshape(-1)
        own = PopularityBasedSampler.sample_ids  # which a subclass may replace
        is_plain = type(flat) is torch.Tensor and type(self).sample_ids is own
        if is_plain and self._is_by_kernel(device):
            place = self.stream.next_position(self._rank)
            sampled, counts = self._kernel(self.domain, *place, flat)
        else:
            sampled = self.sample_ids()
            counts = self._counts_of_all(sampled, flat)
        num = self._max_num_samples
        return SampledValues(sampled, counts[num:].reshape(true_ids.shape), counts[:num])

    def forward(self, inputs: Any) -> SampledValues:
        """Returns `sampled_values` of the positives.

        Args:
          inputs: integers of any shape, or a dict of features by column, of which
            `item_id_feature_name` is read.

        Raises:
          PopSamplerError: see `sampled_values`; or the dict does not have that column.
        """
        if isinstance(inputs, dict):
            name = self.item_id_feature_name
            if name not in inputs:
                raise PopSamplerError(
                    f"Expected features by column, of which {name!r} is the item. Received: "
                    f"{list(inputs)}. Pass the item's column as item_id_feature_name."
                )
            inputs = inputs[name]
        return self.sampled_values(inputs)

    def sample(self, labels: Any) -> SampledValues:
        """Returns `sampled_values`, as Transformers4Rec and Merlin's torch models call a sampler.

        They subtract the logarithms of the expected counts from the scores.

        Args:
          labels: integers of any shape, the positives.
        """
        return self.sampled_values(labels)

    def get_distribution_probs(self) -> torch.Tensor:
        """Returns the probability of every id in one draw, float32 `[max_id + 1]`.

        It is 0 for reserved ids. It has the length of the catalog, so use it for reports. Training
        needs only `expected_count`.

        Raises:
          PopSamplerError: there are more than a billion ids.
        """
        device, domain = self._device(), self.domain
        if isinstance(domain, IdDomain):
            return torch.from_numpy(probs_by_id(self.distribution, domain)).to(device)
        by_rank = torch.from_numpy(probs_by_id(self.distribution, IdDomain(0, domain.size - 1))).to(
            device
        )
        ids = domain.id(torch.arange(domain.size, device=device))
        return by_rank.new_zeros(domain.cardinality).index_copy(0, ids, by_rank)

    def __repr__(self) -> str:
        # Without the tables inside, which would hide the rest of a printed model.
        return f"{type(self).__name__}({self.extra_repr()})"

    def extra_repr(self) -> str:
        return (
            f"{self.distribution!r}, ids {self.min_id} to {self.max_id}, "
            f"max_num_samples={self.max_num_samples}, unique={self.unique}"
        )

    def _is_by_kernel(self, device: torch.device) -> bool:
        if device.type != kernel_draws.DEVICE:  # first, since other calls take time
            return False
        kernel: KernelDraws = self._kernel
        return kernel.is_usable(self.domain, self.stream.state, self._by_operations)

    def _by_operations(
        self, key: torch.Tensor, position: torch.Tensor, true_ids: torch.Tensor
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Draws a batch as the kernel does."""
        sampled = self.domain.id(self._draws(key, position))
        return sampled, self._counts_of_all(sampled, true_ids)

    def _counts_of_all(self, sampled: torch.Tensor, true_ids: torch.Tensor) -> torch.Tensor:
        """Looks all ids up at once; for few ids the number of operations determines the time."""
        ids = torch.cat([sampled, true_ids])
        counts: torch.Tensor = self._expected_counts(self.domain.rank(ids))
        return counts

    def _counts_of_ids(self, expected_counts: ExpectedCountsOnDevice, ids: Any) -> torch.Tensor:
        ids = as_dense_ids(ids, self._device())
        counts: torch.Tensor = expected_counts(self.domain.rank(ids))
        return counts

    def _device(self) -> torch.device:
        """Moves constants and state to the module's device, and returns it."""
        self._follow()
        device: torch.device = self.stream.device
        return device

    def _follow(self) -> None:
        stream = self.stream
        device = stream.device
        if stream.state.device != device or self._edges.device != device:
            parts = [stream, self._edges, self._one_draw, self._draws, self._expected_counts]
            parts.append(self._kernel)
            if isinstance(self.domain, torch.nn.Module):
                parts.append(self.domain)
            for part in parts:  # only these, since to_empty would erase parameters of a subclass
                part.to_empty(device=device)  # these parts rebuild or move their tensors

    # Compilers cannot trace a move, so they run this once before they see the tensors. This is what
    # `torch.compiler.assume_constant_result` sets. To call it would load PyTorch's compiler, which
    # takes as long as PyTorch itself.
    _follow._dynamo_marked_constant = True  # type: ignore[attr-defined]  # noqa: SLF001

    def __prepare_scriptable__(self) -> None:
        raise PopSamplerError(
            "Expected torch.compile or torch.export of a sampler. Received: torch.jit.script, "
            "which cannot express its state. Script the model without its loss."
        )
