"""Draws by one Triton kernel on a GPU in eager mode, where each operation costs a launch.

Before its first use, the kernel is compared with PyTorch's operations on the device. If it differs
or cannot be compiled, the operations draw, with a warning.
"""

import warnings
from importlib.util import find_spec
from typing import Any, Callable, Dict, Tuple

import numpy as np
import torch

from merlin_popsampler.core.draws import Draws
from merlin_popsampler.core.expected_counts import ExpectedCounts

from .constants import Constants
from .eager import is_eager
from .mapped_ids import MappedIdsOnDevice

Batch = Tuple[torch.Tensor, torch.Tensor]
"""Ids of the draws, and the expected counts of draws and positives."""

DEVICE = "cuda"
"""Type of the devices on which the kernel may draw."""
MOST_DRAWS = 4096
"""Most draws of a batch, since one program sorts them."""
MOST_ITEMS = 2**32
"""Above, the last bit of `exp` may move an id in too many of the batches that are compared."""
BATCHES = 8
"""Batches that are compared at the first use."""
_usable: Dict[Tuple[Any, ...], bool] = {}
"""Whether a compiled kernel agreed with the operations, by its device and variant."""


class KernelDraws(Constants):
    """Draws batches of distinct ids with expected counts, by `draw_kernel`.

    Args:
      draws: the algorithm and its constants.
      table: the expected counts of a batch.
      domain: the ids.

    Attributes:
      is_possible: whether the kernel has the algorithm. It has plans without a head.
    """

    def __init__(self, draws: Draws, table: ExpectedCounts, domain: Any) -> None:
        super().__init__()
        self.num_sampled, plan = draws.num_sampled, draws.plan
        self.is_possible = (
            draws.distinct
            and not (draws.by_arrival_times or plan.head)
            and plan.draws <= MOST_DRAWS
            and table.size <= MOST_ITEMS
        )
        if self.is_possible:
            inverse = draws.table
            columns = "affine" if inverse.cuts is None else "columns"
            self.variant = (
                max(1 << (plan.draws - 1).bit_length(), 256),  # so similar plans share a kernel
                columns if inverse.shift is None else "exponential",
                table.starts is not None,
                isinstance(domain, MappedIdsOnDevice),
            )
            self.keep("_numbers", _numbers(draws, table, domain))

    def is_usable(self, domain: Any, state: torch.Tensor, operations: Callable[..., Batch]) -> bool:
        """Tests whether the kernel draws; at the first use on a device, the host waits for it.

        Args:
          domain: the ids, on the device.
          state: the state of the stream.
          operations: computes the result of `forward` by operations of PyTorch, from a key, a
            position and positives.
        """
        if not (self.is_possible and is_eager(state)):
            return False
        with torch.cuda.device_of(state):
            if torch.cuda.is_current_stream_capturing():
                return False  # a kernel may not be compiled there
        variant = state.device, *self.variant
        if variant not in _usable:
            problem = self._problem(domain, state, operations)
            _usable[variant] = problem is None
            if problem:
                warnings.warn(
                    "Expected the Triton kernel for a batch of draws to agree with PyTorch's "
                    f"operations on {state.device}. Received: {problem}. The operations draw "
                    "instead, with the same results in more time. Compile the training step, or "
                    "report this.",
                    stacklevel=2,
                )
        return _usable[variant]

    def forward(
        self, domain: Any, key: torch.Tensor, position: torch.Tensor, true_ids: torch.Tensor
    ) -> Batch:
        """Draws a batch on the current stream of the key's device.

        Args:
          domain: the ids, on the device.
          key: key of the stream, int64 scalar.
          position: position in the stream, int64 scalar.
          true_ids: int64 `[n]`, the positives, a plain tensor.

        Returns:
          int64 `[num_sampled]` and float32 `[num_sampled + n]`.
        """
        from .draw_kernel import draw_batch  # loads Triton

        width, kind, by_segment, is_mapped = self.variant
        true_ids = true_ids.contiguous()
        if true_ids.data_ptr() % 16:  # or Triton would compile another kernel
            true_ids = true_ids.clone()
        scratch = key.new_empty(2 * width)
        ids = key.new_empty(self.num_sampled)
        counts = key.new_empty(self.num_sampled + len(true_ids), dtype=torch.float32)
        tables = (domain._ids, domain._ranks) if is_mapped else (ids, ids)  # noqa: SLF001
        with torch.cuda.device_of(key):
            draw_batch[1 + -(-len(true_ids) // width),](
                *(key, position, true_ids, len(true_ids), self._numbers, *tables),
                *(scratch, ids, counts, width, kind, by_segment, is_mapped),
                num_warps=width // 256,
                enable_fp_fusion=False,  # to round as the operations do
            )
        return ids, counts

    def _problem(self, domain: Any, state: torch.Tensor, operations: Any) -> Any:
        """Returns what is wrong with the kernel, "" if Triton is missing, None if nothing is."""
        if find_spec("triton") is None or torch.version.hip:
            return ""
        true_ids = domain.min_id + torch.arange(-2, self.variant[0], device=state.device)
        try:
            differing = sum(
                self._differs(domain, operations, state[2], state[0] + i, true_ids)
                for i in range(BATCHES)
            )
        except Exception as error:  # noqa: BLE001 - Triton has many, and so have its compilers
            return f"{type(error).__name__}: {error}"
        # The last bit of `exp` may differ, which moves an id once in 10**9 draws of 10**6 items.
        return f"{differing} of {BATCHES} batches that differ" if differing > 1 else None

    def _differs(self, domain: Any, operations: Any, *place: torch.Tensor) -> bool:
        (ids, counts), (other_ids, other_counts) = self(domain, *place), operations(*place)
        near = torch.allclose(counts, other_counts, rtol=2e-5, atol=0.0)
        return not (near and torch.equal(ids, other_ids))


def _numbers(draws: Draws, table: ExpectedCounts, domain: Any) -> Any:
    """Returns all that the kernel reads of a sampler, float64, since integers are below 2**53.

    These are 12 numbers, the cuts and lines of an `InverseTable`, and the rows and starts of
    expected counts.
    """
    inverse = draws.table
    cuts, lines, starts = (
        np.zeros(0) if array is None else np.ravel(array)
        for array in (inverse.cuts, inverse.lines, table.starts)
    )
    sizes = [draws.num_sampled, draws.plan.draws, table.size, domain.min_id, domain.cardinality]
    numbers = [*sizes, *inverse.whole, inverse.shift or 0.0, len(cuts), len(cuts) + len(lines)]
    numbers += [len(table.rows), table.first]
    return np.concatenate([numbers, cuts, lines, np.ravel(table.rows), starts]).astype(np.float64)
