"""Computes expected counts of a batch of draws, and stores them in a short table.

For distinct draws, the expected counts are exact inclusion probabilities.
"""

import math
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from .arrivals import ArrivalTimes
from .checks import batch_size
from .distributions import Distribution
from .segments import Ints

Floats = npt.NDArray[np.float64]

_CELLS = 128
"""Number of equal cells of the logarithm of the rank."""
_ROUNDING = 1e-5
"""Bound on what rounding adds to the logarithm of a rank, and so moves a rank between cells."""
_FEW = 512
"""Most probabilities that are integrated one by one; larger sets are interpolated."""
_BIN = 0.125
"""Width of the bins of the interpolation, in log p."""


@dataclass(frozen=True, eq=False)
class ExpectedCounts:
    """Stores the expected count of every rank in a batch, in less than 4 KB.

    A rank is looked up in one of three ways. Ranks outside of `[0, size)` have the count 1.

    - By segment, if `starts` is given: `rows[i, 0]` for the last segment i with
      `starts[i] <= rank`.
    - By rank, if `rows` has four columns. With `t = log(rank + 1) * scale`, `cell = floor(t)`,
      `f = t - cell` and `v = rows[cell]`, the expected count is
      `min(1, (v[0] + f * (v[1] + f * (v[2] + f * v[3]))) / (rank + 1))`.
    - By the formula of the distribution, if there are no rows:
      `factor * log1p(1 / (rank + offset))`.

    Computed step by step in float32, the relative error of the expected count is at most 1e-5.

    Attributes:
      size: number of ranks.
      num_sampled: number of draws of a batch.
      rows: float64 `[n, 1]`, `[n, 4]` or `[0, 0]`, see above; less than 4 KB in float32.
      starts: int64 `[n]`, see "By segment"; None otherwise.
      scale, offset, factor: numbers, see above.

    Examples:
      >>> from merlin_popsampler.core.distributions import Uniform
      >>> build_expected_counts(Uniform(4), 2, unique=True).expected_count([0, 3, 4]).tolist()
      [0.5, 0.5, 1.0]
    """

    size: int
    num_sampled: int
    rows: Floats
    starts: Optional[Ints] = None
    scale: float = 0.0
    offset: float = 0.0
    factor: float = 0.0

    def expected_count(self, ranks: Any) -> Floats:
        """Returns how often each rank is expected in a batch, float64 of the ranks' shape.

        Args:
          ranks: integers of any shape; ranks outside of `[0, size)` have the count 1.0.
        """
        ranks = np.asarray(ranks)
        inside = (ranks >= 0) & (ranks < self.size)
        return np.where(inside, self._look_up(np.where(inside, ranks, 0)), 1.0)

    def _look_up(self, ranks: Any) -> Any:
        if self.starts is not None:
            return self.rows[np.searchsorted(self.starts[1:], ranks, side="right"), 0]
        if not len(self.rows):
            return self.factor * np.log1p(1.0 / (ranks + self.offset))
        t = np.log(ranks + 1.0) * self.scale
        cell = np.floor(t)
        f, v = t - cell, self.rows[cell.astype(np.int64)]
        cubic = v[..., 0] + f * (v[..., 1] + f * (v[..., 2] + f * v[..., 3]))
        return np.minimum(cubic / (ranks + 1.0), 1.0)


def build_expected_counts(
    distribution: Distribution, num_sampled: int, unique: bool
) -> ExpectedCounts:
    """Builds the table of expected counts for batches of `num_sampled` draws.

    Args:
      distribution: the distribution of one draw.
      num_sampled: number of draws of a batch, at least 1; at most `distribution.size` if unique.
      unique: whether draws are distinct (inclusion probabilities), or may repeat
        (`num_sampled * prob`).

    Raises:
      PopSamplerError: `num_sampled` is not a whole number in this range.

    Examples:
      >>> from merlin_popsampler.core.distributions import LogUniform
      >>> build_expected_counts(LogUniform(3), 3, unique=True).expected_count([0, 2, 3]).tolist()
      [1.0, 1.0, 1.0]
      >>> build_expected_counts(LogUniform(3), 2, unique=False).expected_count([0, 3]).tolist()
      [1.0, 1.0]
    """
    num_sampled = batch_size("num_sampled", num_sampled, distribution.size, unique)
    segments, repeated = distribution.segments, not unique or num_sampled == 1
    if unique and num_sampled == distribution.size:
        return _by_segment(np.zeros(1, np.int64), np.ones(1), distribution.size, num_sampled)
    if segments.shift is None:
        expected_counts = num_sampled * segments.probs
        if not repeated:
            expected_counts = inclusion_probability(distribution, num_sampled, segments.probs)
        return _by_segment(segments.starts, expected_counts, distribution.size, num_sampled)
    if repeated:
        factor = num_sampled / segments.log_range
        nothing = np.zeros((0, 0))
        return ExpectedCounts(
            distribution.size, num_sampled, nothing, offset=segments.shift, factor=factor
        )
    return _by_rank(distribution, num_sampled)


def _by_segment(
    starts: Ints, expected_counts: Floats, size: int, num_sampled: int
) -> ExpectedCounts:
    return ExpectedCounts(size, num_sampled, expected_counts[:, None], starts)


def _by_rank(distribution: Distribution, num_sampled: int) -> ExpectedCounts:
    """Builds a cubic for each equal cell of `log(rank + 1)`.

    It interpolates `expected count * (rank + 1)`, which changes slowly, at four ranks of the cell.
    If the cell has fewer, the ranks behind it are added, so that its own are exact.
    """
    size, num = distribution.size, min(distribution.size, 4)
    scale = (_CELLS - 0.5) / math.log(size)  # so that rounding does not lead behind the last cell
    cells = np.arange(_CELLS)[:, None]
    first = np.ceil(np.exp(cells / scale - _ROUNDING)) - 1.0
    last = np.floor(np.exp((cells + 1.0) / scale + _ROUNDING)) - 1.0
    first = np.minimum(first, size - num)
    last = np.clip(last, first + num - 1.0, size - 1.0)
    knots = 0.5 - 0.5 * np.cos(np.pi * (np.arange(num) + 0.5) / num)  # Chebyshev's
    ranks = first + np.rint((last - first) * knots)
    f = np.log(ranks + 1.0) * scale - cells
    expected_counts = inclusion_probability(distribution, num_sampled, distribution.prob(ranks))
    values = expected_counts * (ranks + 1.0)
    rows = np.zeros((_CELLS, 4))
    rows[:, :num] = np.linalg.solve(f[..., None] ** np.arange(num), values[..., None])[..., 0]
    return ExpectedCounts(size, num_sampled, rows, scale=scale)


def inclusion_probability(distribution: Distribution, num_sampled: int, probs: Any) -> Floats:
    """Computes the probability that an id is among the first `num_sampled` distinct draws.

    Id i arrives at an independent exponential time of rate p_i, and the first K ids to arrive are
    the sample. Let N_i(x) be the number of other ids that have arrived by time x, which is
    Poisson-binomial. Then

      pi_i = integral over x > 0 of p_i exp(-p_i x) P(N_i(x) <= K - 1).

    Args:
      distribution: the distribution of one draw.
      num_sampled: K, from 1 to `distribution.size`.
      probs: float64 `[n]`, one-draw probabilities of ids of the distribution.

    Returns:
      Inclusion probabilities, float64 `[n]`, with a relative error below 1e-6.

    Raises:
      PopSamplerError: `num_sampled` is not a whole number in this range.

    Examples:
      >>> from merlin_popsampler.core.distributions import Empirical
      >>> from merlin_popsampler.core.popularity_curve import PopularityCurve
      >>> distribution = Empirical(PopularityCurve.from_counts([2, 1, 1]))
      >>> inclusion_probability(distribution, 2, [0.5, 0.25]).round(12)
      array([0.83333333, 0.58333333])

    References:
      Hajek (1981), Sampling from a Finite Population (successive sampling).
      Rosen (1972), Asymptotic theory for successive sampling, section 2.
    """
    num_sampled = batch_size("num_sampled", num_sampled, distribution.size, unique=True)
    targets = np.asarray(probs, np.float64)
    if num_sampled == distribution.size:
        return np.ones(targets.shape)
    if num_sampled == 1:
        return targets.copy()
    nodes, multiplicities = distribution.nodes()
    if nodes[0] == nodes[-1]:
        return np.full(targets.shape, num_sampled / distribution.size)
    order = np.argsort(-nodes, kind="stable")
    times = ArrivalTimes(nodes[order], multiplicities[order], num_sampled)
    distinct, index = np.unique(targets, return_inverse=True)
    expected_counts = (
        times.inclusion(distinct) if len(distinct) <= _FEW else _thinned(times, distinct)
    )
    return np.asarray(expected_counts[index.reshape(targets.shape)])


def _thinned(times: ArrivalTimes, probs: Floats) -> Floats:
    """Interpolates inclusion probabilities of many rising `probs`, from four in each bin of log p.

    The knots are probabilities of the distribution, since the integral is defined only for those.
    The interpolated quantity is log(expected count / p), which is nearly constant in a bin.
    """
    logs = np.log(probs)
    bins = np.floor((logs - logs[0]) / _BIN)
    starts = np.append(np.flatnonzero(np.diff(bins, prepend=-1.0)), len(probs))
    first, last = starts[:-1], starts[1:] - 1
    thirds = [logs[first] + (logs[last] - logs[first]) * part for part in (1 / 3, 2 / 3)]
    second = np.clip(np.searchsorted(logs, thirds[0]), first + 1, np.maximum(last - 2, first + 1))
    third = np.clip(np.searchsorted(logs, thirds[1]), second + 1, np.maximum(last - 1, second + 1))
    knots = np.minimum(np.stack((first, second, third, last)), last)
    asked = np.unique(knots)
    ratios = np.full(len(probs), np.nan)
    ratios[asked] = np.log(times.inclusion(probs[asked]) / probs[asked])
    rest = np.flatnonzero(np.isnan(ratios))  # in bins of five or more, whose four knots differ
    own = knots[:, np.searchsorted(starts, rest, side="right") - 1]
    total = np.zeros(len(rest))
    for i in range(4):
        weight = np.ones(len(rest))
        for j in range(4):
            if j != i:
                weight *= (logs[rest] - logs[own[j]]) / (logs[own[i]] - logs[own[j]])
        total += weight * ratios[own[i]]
    ratios[rest] = total
    # Rounding may raise the probability of a certain id above 1.
    return np.asarray(np.minimum(probs * np.exp(ratios), 1.0))
