"""Plans how many random numbers a batch of distinct ranks takes.

Most draws repeat frequent ranks. So a plan may decide for each of the first ranks, the head,
whether the batch contains it. Then only the ranks behind the head, the tail, are drawn.
"""

import math
from dataclasses import dataclass
from typing import Callable, Tuple

import numpy as np

from merlin_popsampler.errors import PopSamplerError

from .distributions import Distribution

_RARE = 36.0
"""Events are neglected if their probability is below exp(-36) = 2**-52, the grain of uniforms."""
_SELDOM = 3.0
"""Standard deviations by which a first, shorter attempt exceeds the expected number of draws."""
_WORTH = 2500
"""Minimum saving in draws that makes a separate pass over the head worthwhile."""
_STEADY = 1000
"""Minimum number of draws of the tail, so that the bounds below hold for their arrival time."""
PROPOSALS = 8
"""Proposals for a gamma variate, three uniforms each; nearly every proposal is accepted."""
_MOST = 2**31 - 1
"""Most random numbers of a batch, since frameworks sort and deduplicate with 32-bit indices."""


@dataclass(frozen=True)
class DrawPlan:
    """Holds the numbers of draws for a batch of `num_sampled` distinct ranks.

    Attributes:
      head: number of first ranks that are decided one by one; 0 if there is no head.
      head_mass: probability that one draw is in the head.
      tail: number of draws from the ranks behind the head, before the head is decided.
      draws: number of draws from the whole distribution after that. It is too small with a
        probability of at most exp(-36).
      few: number of draws of a first attempt, which is nearly always sufficient; at most `draws`.

    Examples:
      >>> from merlin_popsampler.core.distributions import LogUniform
      >>> plan = plan_draws(LogUniform(1000), 100)
      >>> plan.head, plan.few <= plan.draws
      (0, True)
    """

    head: int
    head_mass: float
    tail: int
    draws: int
    few: int

    @property
    def length(self) -> int:
        """Length of the sequence of ranks from which the distinct ones are taken."""
        return self.head + self.tail + self.draws


def plan_draws(distribution: Distribution, num_sampled: int) -> DrawPlan:
    """Returns the cheaper of two plans: plain draws, or a head whose ranks are decided one by one.

    Most draws repeat ids of the head. For example, 332,000 log-uniform draws hold 100,000 distinct
    ids out of a million. If the first 32,767 ids are decided separately, 93,000 draws are enough.

    Args:
      distribution: the distribution of one draw.
      num_sampled: number of distinct ranks, from 1 to `distribution.size`.

    Raises:
      PopSamplerError: both the draws and the arrival times of the catalog exceed 2**31 - 1 random
        numbers.

    Examples:
      >>> from merlin_popsampler.core.distributions import LogUniform
      >>> plan_draws(LogUniform(10**6), 100_000).head
      32767
    """
    curve = _Curve(distribution)
    plan = _plain(curve, num_sampled)
    if plan.draws >= 2 * _WORTH:
        split = _split(distribution, curve, num_sampled)
        if split.head and split.tail >= _STEADY and split.length + _WORTH < plan.length:
            plan = split
    if min(plan.length, distribution.size) > _MOST:
        raise PopSamplerError(
            f"Expected {num_sampled} distinct ids to take at most {_MOST} random numbers. "
            f"Received: {distribution!r}, which takes more. "
            "Pass unique=False, fewer samples, or a flatter distribution."
        )
    return plan


class _Curve:
    """Describes the number of distinct ranks over time, for draws that arrive at rate 1."""

    def __init__(self, distribution: Distribution) -> None:
        self.probs, self.multiplicities = distribution.nodes()
        self.limit = 64.0 * distribution.size

    def moments(self, time: float) -> Tuple[float, float, float]:
        """Returns mean, variance and rate of growth of the number of distinct ranks."""
        misses = np.exp(-time * self.probs)
        found = self.multiplicities * (1.0 - misses)
        rate = self.multiplicities * self.probs
        return float(found.sum()), float(found @ misses), float(rate @ misses)

    def time(self, enough: Callable[[float, float, float, float], bool], start: float) -> float:
        """Returns the first time from `start` on at which `enough(time, *moments)` is true."""
        low = high = max(start, 1.0)
        while not enough(high, *self.moments(high)):
            low, high = high, 2.0 * high
            if high > self.limit:  # so late that arrival times of the catalog are cheaper
                return high
        while high - low > 0.25 + 1e-4 * high:
            middle = 0.5 * (low + high)
            low, high = (low, middle) if enough(middle, *self.moments(middle)) else (middle, high)
        return high


def _margin(variance: float) -> float:
    """Returns Bernstein's bound on the deviation of a sum of indicators from its mean.

    The sum exceeds the bound with a probability of at most exp(-36).
    """
    third = _RARE / 3.0
    return third + math.sqrt(third**2 + 2.0 * _RARE * max(variance, 0.0))


def _plain(curve: _Curve, num_sampled: int) -> DrawPlan:
    """Plans draws from the whole distribution.

    The number of distinct ranks in a fixed number of draws is a sum of negatively associated
    indicators. Its variance is less than that of independent ones, by about `draws * rate^2`.
    """
    goal = float(num_sampled)
    draws = curve.time(lambda _, mean, var, __: mean - _margin(var) >= goal, goal)

    def nearly(time: float, mean: float, variance: float, rate: float) -> bool:
        spread = math.sqrt(max(variance - time * rate**2, 1.0))
        return mean - _SELDOM * spread >= goal

    few = curve.time(nearly, goal)
    draws = math.ceil(draws)
    return DrawPlan(0, 0.0, 0, draws, min(math.ceil(few) + 1, draws))


def _split(distribution: Distribution, curve: _Curve, num_sampled: int) -> DrawPlan:
    """Plans a separate head until `tail` draws of the tail have arrived, then plain draws.

    At that time, the number of distinct ranks must not exceed `num_sampled`.
    """
    goal = float(num_sampled)
    time = curve.time(lambda _, mean, __, ___: mean >= goal, goal)
    heads, masses = distribution.segments.heads()
    best = int(np.argmin(heads + time * (1.0 - masses)))
    head, mass = int(heads[best]), float(masses[best])
    probs = distribution.prob(np.arange(head))

    def jitter(time: float) -> float:
        """Returns the variance of the head's count that comes from the random time."""
        return float(probs @ np.exp(-time * probs)) ** 2 * time / (1.0 - mass)

    def full(time: float, mean: float, variance: float, _: float) -> bool:
        return mean + _margin(variance + jitter(time)) >= goal

    start = curve.time(full, 1.0)
    tail = int(start * (1.0 - mass))
    start = tail / (1.0 - mass)  # the time of a whole number of draws
    spread = jitter(start)

    def enough(_: float, mean: float, variance: float, __: float) -> bool:
        return mean - _margin(variance + spread) >= goal

    def nearly(_: float, mean: float, variance: float, __: float) -> bool:
        return mean - _SELDOM * math.sqrt(variance) >= goal

    draws = math.ceil(curve.time(enough, start) - start)
    few = math.ceil(curve.time(nearly, start) - start)
    return DrawPlan(head, mass, tail, draws, min(few, draws))
