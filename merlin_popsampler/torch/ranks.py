"""The ranks of a batch on a device, drawn by the way that suits distribution and size; no state.

A batch of unique draws is the first K distinct ranks of one sequence: independent draws or, where
that takes fewer random numbers, one that gives the same sets. Another way, the race, draws an
exponential arrival time for every rank and takes the K earliest, which is the same distribution. It
serves where the sequence would be about as long as the catalog. Shapes are fixed, and nothing asks
the device for a number.

References:
  P. S. Efraimidis, P. G. Spirakis, "Weighted random sampling with a reservoir", Information
  Processing Letters 97 (2006), section 2: the race.
"""

import math

import torch

from merlin_popsampler.core.checks import batch_size
from merlin_popsampler.core.distributions import Distribution
from merlin_popsampler.core.draw_plan import PROPOSALS, plan_draws, prefers_race

from .inverse_cdf import Edges, HeadProbs, InverseCDF
from .philox import uniforms


def make_draws(
    distribution: Distribution, num_sampled: int, unique: bool, edges: Edges
) -> torch.nn.Module:
    """The module that draws a batch of ranks.

    Args:
      distribution: the distribution of one draw.
      num_sampled: number of ranks; with `unique` at most `distribution.size`.
      unique: whether the ranks are distinct (successive sampling) or independent.
      edges: of the distribution's segments.

    Returns:
      A module that is called with key and position, int64 scalars on its device, and gives int64
      `[num_sampled]`, in `[0, distribution.size)`. Equal key and position give equal draws,
      different positions independent ones.

    Raises:
      PopSamplerError: no such number of draws, or too many for this distribution.
    """
    num_sampled = batch_size("max_num_samples", num_sampled, distribution.size, unique)
    if not unique or num_sampled == 1:
        return Independent(distribution, num_sampled)
    return (Race if prefers_race(distribution, num_sampled) else FirstDistinct)(
        distribution, num_sampled, edges
    )


class Independent(torch.nn.Module):  # type: ignore[misc]
    """Draws that may repeat."""

    def __init__(self, distribution: Distribution, num_sampled: int) -> None:
        super().__init__()
        self.num_sampled = num_sampled
        self.inverse = InverseCDF(distribution)

    def forward(self, key: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        return self.inverse(uniforms(key, position, self.num_sampled))


class Race(torch.nn.Module):  # type: ignore[misc]
    """The ranks that arrive first, rank i at an exponential time of rate p_i."""

    def __init__(self, distribution: Distribution, num_sampled: int, edges: Edges) -> None:
        super().__init__()
        self.num_sampled, self.size = num_sampled, distribution.size
        self.rates = HeadProbs(distribution.segments, distribution.size, edges)

    def forward(self, key: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        times = -torch.log(1.0 - uniforms(key, position, self.size)) / self.rates(key.device)
        return torch.topk(times, self.num_sampled, largest=False, sorted=True).indices


class FirstDistinct(torch.nn.Module):  # type: ignore[misc]
    """The first distinct ranks of a sequence: plain draws, or a head by itself and draws.

    With a head the sequence is, first, the draws of the tail; then the ranks of the head that have
    arrived by the time of the last of them, in no order (the others repeat the first draw); then
    draws from the whole distribution. Arrivals have no memory, so from that random time on all is
    as if the
    draws before had been made one by one: the same distribution of the set of the first K, at a
    fraction of the draws.
    """

    def __init__(self, distribution: Distribution, num_sampled: int, edges: Edges) -> None:
        super().__init__()
        self.num_sampled = num_sampled
        self.plan = plan_draws(distribution, num_sampled)
        self.inverse = InverseCDF(distribution, self.plan.head)
        self.rates = HeadProbs(distribution.segments, self.plan.head, edges)

    def forward(self, key: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        return first_distinct(self._sequence(key, position), self.num_sampled)

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
    """The first K distinct values of a sequence of integers, in their order: int64 `[K]`.

    The first ranks of the catalog close the sequence and complete it where it falls short.
    """
    draws = torch.cat([draws, torch.arange(num_sampled, device=draws.device)])
    values, places = torch.sort(draws, stable=True)
    # Integers, since a compiler scatters bits one by one.
    changes = torch.ones_like(values)
    changes[1:] = values[1:] != values[:-1]
    is_first = torch.empty_like(values).scatter(0, places, changes)
    # What is no first occurrence lands before the start, what is one too many behind the end.
    order = (is_first.cumsum(0) * is_first).clamp(max=num_sampled + 1)
    return draws.new_empty(num_sampled + 2).scatter(0, order, draws)[1:-1]


def gamma(shape: int, numbers: torch.Tensor) -> torch.Tensor:
    """A gamma variate, float64 `[1]`: the time of the `shape`-th arrival at rate 1.

    The first that is accepted of a few proposals, of which few are refused.

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
