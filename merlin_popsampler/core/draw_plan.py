"""How many random numbers a batch of distinct ranks takes, and where they are best spent."""

import functools
import math
from dataclasses import dataclass
from typing import Callable, Tuple

import numpy as np

from merlin_popsampler.errors import PopSamplerError

from .distributions import Distribution

_RARE = 36.0
"""What is ruled out has a probability below exp(-36) = 2**-52, the grain of the uniforms."""
_SELDOM = 3.0
"""A first, shorter try is short of distinct ranks by chance beyond three standard deviations."""
_WORTH = 2500
"""Draws that must be saved before a head of its own pays for its additional steps."""
_STEADY = 1000
"""Draws of the tail from which on their time varies little enough for the bounds below."""
_RACE = 0.75
"""The race is run where the draws would be more than this share of the catalog."""
PROPOSALS = 8
"""Tries at a gamma variate, three uniforms each, of which nearly all are accepted."""
_MOST = 2**31 - 1
"""Random numbers of a batch: frameworks index what they sort, or make distinct, in 32 bits."""


@dataclass(frozen=True)
class DrawPlan:
    """Numbers of random numbers for `num_sampled` distinct ranks.

    Attributes:
      head: ranks `[0, head)` whose arrival is decided one by one; 0 for none.
      head_mass: probability that a draw is in the head.
      tail: draws from the ranks behind the head, while the head is decided.
      draws: draws from the whole distribution after that, enough but for a chance of exp(-36).
      few: draws that are nearly always enough, at most `draws`.
    """

    head: int
    head_mass: float
    tail: int
    draws: int
    few: int

    @property
    def length(self) -> int:
        """Numbers of the sequence of ranks that is made."""
        return self.head + self.tail + self.draws


@functools.lru_cache(maxsize=256)
def plan_draws(distribution: Distribution, num_sampled: int) -> DrawPlan:
    """The cheaper of plain draws and of a head that is decided one by one.

    Most draws repeat ids of the head: 332,000 log-uniform ones hold 100,000 distinct ids out of a
    million. With the first 32,767 ids decided by themselves, 93,000 draws do.

    Raises:
      PopSamplerError: neither draws nor the race over the catalog are within 2**31 random numbers.
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
            "Pass unique=False, or draw fewer by a flatter distribution."
        )
    return plan


def prefers_race(distribution: Distribution, num_sampled: int) -> bool:
    """Whether arrival times of the whole catalog cost less than draws."""
    return plan_draws(distribution, num_sampled).length > _RACE * distribution.size


class _Curve:
    """Distinct ranks after a time of draws that arrive at rate 1: mean, variance, rate."""

    def __init__(self, distribution: Distribution) -> None:
        self.probs, self.multiplicities = distribution.nodes()
        self.limit = 64.0 * distribution.size

    def moments(self, time: float) -> Tuple[float, float, float]:
        misses = np.exp(-time * self.probs)
        found = self.multiplicities * (1.0 - misses)
        rate = self.multiplicities * self.probs
        return float(found.sum()), float(found @ misses), float(rate @ misses)

    def time(self, enough: Callable[[float, float, float, float], bool], start: float) -> float:
        """The time from `start` on at which `enough(time, mean, variance, rate)` turns true."""
        low = high = max(start, 1.0)
        while not enough(high, *self.moments(high)):
            low, high = high, 2.0 * high
            if high > self.limit:  # never, or so late that the race is run
                return high
        while high - low > 0.25 + 1e-4 * high:
            middle = 0.5 * (low + high)
            low, high = (low, middle) if enough(middle, *self.moments(middle)) else (middle, high)
        return high


def _margin(variance: float) -> float:
    """Bernstein: a sum of such indicators is this far from its mean with chance exp(-36)."""
    third = _RARE / 3.0
    return third + math.sqrt(third**2 + 2.0 * _RARE * max(variance, 0.0))


def _plain(curve: _Curve, num_sampled: int) -> DrawPlan:
    """The number of distinct ranks in a fixed number of draws.

    A sum of negatively associated indicators, whose variance is less than that of independent
    ones: by `draws * rate^2`, nearly.
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
    """The head by itself until `tail` draws of the others have arrived, then draws as before.

    The number of distinct ranks at that time must not exceed `num_sampled` yet.
    """
    goal = float(num_sampled)
    time = curve.time(lambda _, mean, __, ___: mean >= goal, goal)
    heads, masses = distribution.segments.heads()
    best = int(np.argmin(heads + time * (1.0 - masses)))
    head, mass = int(heads[best]), float(masses[best])
    probs = distribution.prob(np.arange(head))

    def jitter(time: float) -> float:
        """Variance that the random length of time gives to the head."""
        return float(probs @ np.exp(-time * probs)) ** 2 * time / (1.0 - mass)

    def full(time: float, mean: float, variance: float, _: float) -> bool:
        return mean + _margin(variance + jitter(time)) >= goal

    start = curve.time(full, 1.0)
    tail = int(start * (1.0 - mass))
    start = tail / (1.0 - mass)  # what the whole number of draws takes
    spread = jitter(start)

    def enough(_: float, mean: float, variance: float, __: float) -> bool:
        return mean - _margin(variance + spread) >= goal

    def nearly(_: float, mean: float, variance: float, __: float) -> bool:
        return mean - _SELDOM * math.sqrt(variance) >= goal

    draws = math.ceil(curve.time(enough, start) - start)
    few = math.ceil(curve.time(nearly, start) - start)
    return DrawPlan(head, mass, tail, draws, min(few, draws))
