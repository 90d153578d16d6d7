"""Draws the ranks of a batch in PyTorch, without state.

A batch of distinct draws is the first K distinct ranks of one sequence. The sequence consists of
independent draws, or, if that takes fewer random numbers, of a head and draws (see
`FirstDistinct`). If the sequence would be about as long as the catalog, every rank gets an
exponential arrival time of rate p_i instead. The K earliest ranks are the batch, with the same
distribution. Shapes are fixed, and the host never waits for the device.

References:
  P. S. Efraimidis, P. G. Spirakis, "Weighted random sampling with a reservoir", Information
  Processing Letters 97 (2006), section 2: arrival times.
"""

import math
from typing import Any, Tuple

import torch

from merlin_popsampler.core.draw_plan import PROPOSALS
from merlin_popsampler.core.draws import Draws
from merlin_popsampler.core.reference_draw import distinct, draw_ranks

from .eager import SHORT, is_readable
from .inverse_cdf import Edges, HeadProbs, InverseCDF
from .philox import uniforms


def draws_on_device(draws: Draws, edges: Edges) -> torch.nn.Module:
    """Builds the module that draws a batch of ranks.

    Args:
      draws: the algorithm and its constants.
      edges: the edges of the distribution's segments.

    Returns:
      A module whose arguments are a key and a position, int64 scalars on its device. It returns
      int64 `[num_sampled]` in `[0, distribution.size)`. Equal keys and positions give equal draws.
      Different positions give independent draws.
    """
    if not draws.distinct:
        return Independent(draws)
    return (EarliestArrivals if draws.by_arrival_times else FirstDistinct)(draws, edges)


class _Ranks(torch.nn.Module):  # type: ignore[misc]
    """Draws a batch with NumPy if that is faster, and otherwise with `on_device` of a subclass."""

    def __init__(self, draws: Draws) -> None:
        super().__init__()
        self.draws, self.num_sampled = draws, draws.num_sampled
        self.is_short = draws.length <= SHORT

    def forward(self, key: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        if self.is_short and is_readable(key):
            return torch.from_numpy(draw_ranks(self.draws, key.item(), position.item()))
        return self.on_device(key, position)

    def on_device(self, key: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """Draws a batch with operations of PyTorch, on the device of the key."""
        raise NotImplementedError


class Independent(_Ranks):
    """Draws independent ranks, which may repeat."""

    def __init__(self, draws: Draws) -> None:
        super().__init__(draws)
        self.inverse = InverseCDF(draws.table)

    def on_device(self, key: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        return self.inverse(uniforms(key, position, self.num_sampled))


class EarliestArrivals(_Ranks):
    """Draws an exponential time of rate p_i for each rank i, and returns the earliest ranks."""

    def __init__(self, draws: Draws, edges: Edges) -> None:
        super().__init__(draws)
        self.size = draws.distribution.size
        self.rates = HeadProbs(draws.distribution.segments, self.size, edges)

    def on_device(self, key: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        times = -torch.log(1.0 - uniforms(key, position, self.size)) / self.rates(key.device)
        return torch.topk(times, self.num_sampled, largest=False, sorted=True).indices


class FirstDistinct(_Ranks):
    """Draws a sequence of ranks, and returns the first distinct ones.

    The sequence is that of `core.reference_draw.sequence`, which explains it.
    """

    def __init__(self, draws: Draws, edges: Edges) -> None:
        super().__init__(draws)
        self.plan = draws.plan
        self.inverse = InverseCDF(draws.table)
        self.rates = HeadProbs(draws.distribution.segments, self.plan.head, edges)

    def on_device(self, key: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        ranks, plan = self._sequence(key, position), self.plan
        if ranks.device.type == "cpu":
            few = plan.length - plan.draws + plan.few
            return torch.ops.merlin_popsampler.first_distinct(ranks, few, self.num_sampled)
        return first_distinct(ranks, self.num_sampled)

    def _sequence(self, key: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        plan = self.plan
        if not plan.head:
            return self.inverse(uniforms(key, position, plan.draws))
        lengths = [3 * PROPOSALS, plan.tail, plan.head, plan.draws]
        numbers = uniforms(key, position, sum(lengths)).split(lengths)
        time = gamma(plan.tail, numbers[0]) / (1.0 - plan.head_mass)
        tail = self.inverse(numbers[1], behind=True)
        arrived = numbers[2] >= torch.exp(-time * self.rates(key.device))
        head = torch.arange(plan.head, device=key.device)
        return torch.cat([tail, torch.where(arrived, head, tail[:1]), self.inverse(numbers[3])])


def first_distinct(draws: torch.Tensor, num_sampled: int) -> torch.Tensor:
    """Returns the first K distinct values of a sequence of integers, in their order, int64 `[K]`.

    The first ranks of the catalog complete a sequence with too few distinct values.
    """
    draws = torch.cat([draws, torch.arange(num_sampled, device=draws.device)])
    values, indices = torch.sort(draws, stable=True)
    # Integers, since compiled code scatters bools one by one.
    changes = torch.ones_like(values)
    changes[1:] = values[1:] != values[:-1]
    is_first = torch.empty_like(values).scatter(0, indices, changes)
    # Repeated values are scattered to index 0, and surplus first occurrences to the last index.
    order = (is_first.cumsum(0) * is_first).clamp(max=num_sampled + 1)
    return draws.new_empty(num_sampled + 2).scatter(0, order, draws)[1:-1]


def gamma(shape: int, numbers: torch.Tensor) -> torch.Tensor:
    """Draws a gamma variate, float64 `[1]`: the time of the `shape`-th arrival at rate 1.

    It returns the first accepted one of a few proposals, most of which are accepted.

    References:
      G. Marsaglia, W. W. Tsang, "A simple method for generating gamma variables", ACM Transactions
      on Mathematical Software 26 (2000).
    """
    radius, angle, test = numbers.chunk(3)
    normal = torch.sqrt(-2.0 * torch.log(1.0 - radius)) * torch.cos(2.0 * math.pi * angle)
    scale = shape - 1.0 / 3.0
    root = 1.0 + normal / math.sqrt(9.0 * scale)
    cube = root * root * root
    log_cube = 3.0 * torch.log(root.clamp(min=1e-300))
    accepted = torch.log(1.0 - test) < 0.5 * normal * normal + scale * (1.0 - cube + log_cube)
    first = torch.argmax(accepted.to(torch.int8), keepdim=True)
    return scale * cube.gather(0, first)


# ------------------------------------------------------------------ the operator

# It finds the first distinct ranks on the CPU, by NumPy, since PyTorch's sort takes several times
# as long there. Compiled code cannot call NumPy itself.


def _first_distinct_by_numpy(draws: torch.Tensor, few: int, num_sampled: int) -> torch.Tensor:
    """Finds the first distinct draws; the first `few` draws nearly always contain them."""
    found = distinct(draws.numpy()[:few])
    if len(found) < num_sampled:
        return first_distinct(draws, num_sampled).clone()  # compiled code needs all of a tensor
    return torch.from_numpy(found[:num_sampled])


def _in_lanes(
    _: Any, in_dims: Tuple[Any, ...], draws: torch.Tensor, *numbers: int
) -> Tuple[torch.Tensor, int]:
    """Implements the operator for `vmap`."""
    first_distinct = torch.ops.merlin_popsampler.first_distinct
    return torch.stack([first_distinct(lane, *numbers) for lane in draws.unbind(in_dims[0])]), 0


_NAME = "merlin_popsampler::first_distinct"
torch.library.define(_NAME, "(Tensor draws, int few, int num_sampled) -> Tensor")
torch.library.impl(_NAME, "cpu", _first_distinct_by_numpy)
torch.library.register_fake(_NAME, lambda draws, _, num_sampled: draws.new_empty(num_sampled))
if hasattr(torch.library, "register_vmap"):  # before PyTorch 2.5, `vmap` calls it with a warning
    torch.library.register_vmap(_NAME, _in_lanes)
