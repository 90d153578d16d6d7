"""Computes expected counts of a batch of draws, and stores them in a short table.

For distinct draws, the expected counts are exact inclusion probabilities.
"""

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

from .arrivals import ArrivalTimes
from .checks import batch_size
from .distributions import Distribution
from .segments import Ints

Floats = npt.NDArray[np.float64]

CELL_SHIFT = 52 - 7
"""A cell is 2**45 float64 numbers in a row, whose ends differ by at most 1 / 128 (relative)."""
_FEW = 512
"""Most probabilities that are integrated one by one; larger sets are interpolated."""
_BIN = 0.125
"""Width of the bins of the interpolation, in log p."""
_CLOSE = _BIN / 64
"""Distance below which two knots of a bin are too close for an interpolation, in log p."""


@dataclass(frozen=True, eq=False)
class ExpectedCounts:
    """Stores the expected count of every rank in a batch, in a short table.

    A rank is looked up in one of two ways. Ranks outside of `[0, size)` have the count `outside`.

    - By segment, if `starts` is given: `rows[i, 0]` for the last segment i with
      `starts[i] <= rank`.
    - By cell otherwise. With `x = float64(rank) + 1`, moved into `[first, last]`, the cell is
      `(bits(x) - bits(first)) >> CELL_SHIFT`, where `bits` are those of a float64 as an int64. The
      expected count is `rows[cell, 0] + rows[cell, 1] / x`, which is exact at the first and the
      last rank of a cell. Probabilities are nearly proportional to 1 / x. Up to x = 256, each rank
      has a cell of its own. The first and the last cell are those of ranks outside.

    Computed in float32 from a cell on, the relative error of the expected count is at most 6e-6.

    Attributes:
      size: number of ranks.
      num_sampled: number of draws of a batch.
      rows: float64 `[n, 1]` by segment or `[n, 2]` by cell; n is 2,551 for a million ranks, and at
        most 6,787.
      outside: the count of ranks outside of `[0, size)`.
      starts: int64 `[n]`, see "By segment"; None otherwise.
      first: where the first cell starts, below 1.0, so that the last one starts at `last`.

    Examples:
      >>> from merlin_popsampler.core.distributions import Uniform
      >>> build_expected_counts(Uniform(4), 2, unique=True).expected_count([0, 3, 4]).tolist()
      [0.5, 0.5, 1.0]
    """

    size: int
    num_sampled: int
    rows: Floats
    outside: float
    starts: Optional[Ints] = None
    first: float = 1.0

    @property
    def last(self) -> float:
        """Where the last cell starts: x of the first rank behind the catalog."""
        return _behind(self.size)

    @property
    def first_bits(self) -> int:
        """The bits of `first`, as an int64."""
        return int(_bits(self.first))

    def expected_count(self, ranks: Any) -> Floats:
        """Returns how often each rank is expected in a batch, float64 of the ranks' shape.

        Args:
          ranks: integers of any shape.
        """
        ranks = np.asarray(ranks)
        if self.starts is not None:
            found = self.rows[np.searchsorted(self.starts[1:], ranks, side="right"), 0]
            return np.where((ranks >= 0) & (ranks < self.size), found, self.outside)
        x = np.clip(ranks + 1.0, self.first, self.last)
        row = self.rows[(_bits(x) - self.first_bits) >> CELL_SHIFT]
        return np.asarray(row[..., 0] + row[..., 1] / x)


def build_expected_counts(
    distribution: Distribution, num_sampled: int, unique: bool, outside: float = 1.0
) -> ExpectedCounts:
    """Builds the table of expected counts for batches of `num_sampled` draws.

    Args:
      distribution: the distribution of one draw.
      num_sampled: number of draws of a batch, at least 1; at most `distribution.size` if unique.
      unique: whether draws are distinct (inclusion probabilities), or may repeat
        (`num_sampled * prob`).
      outside: the count of ranks outside of `[0, distribution.size)`.

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
    size, segments = distribution.size, distribution.segments
    if unique and num_sampled == size:
        return ExpectedCounts(size, num_sampled, np.ones((1, 1)), outside, np.zeros(1, np.int64))

    def counts(probs: Floats) -> Floats:
        if not unique:
            return num_sampled * probs
        return inclusion_probability(distribution, num_sampled, probs)

    if segments.shift is None:
        rows = counts(segments.probs)[:, None]
        return ExpectedCounts(size, num_sampled, rows, outside, segments.starts)
    starts = _starts_of_cells(size)
    x = _ends_of_cells(starts[1:], size)
    y = counts(distribution.prob(x - 1.0))
    with np.errstate(invalid="ignore"):  # 0 / 0 for a cell of one rank
        a = np.nan_to_num((y[0] - y[1]) / (1.0 / x[0] - 1.0 / x[1]))
    rows = np.stack((y[0] - a / x[0], a), 1)
    bound = np.array([[outside, 0.0]])
    rows = np.concatenate((bound, rows, bound))
    return ExpectedCounts(size, num_sampled, rows, outside, first=float(starts[0]))


def _starts_of_cells(size: int) -> Floats:
    """Returns where the cells start, float64 `[cells]`, from below 1 to behind `size`."""
    last = _bits(_behind(size))
    inside = -((_bits(1.0) - last) >> CELL_SHIFT)
    return np.asarray(last - (np.arange(inside + 1, -1, -1) << CELL_SHIFT)).view(np.float64)


def _behind(size: int) -> float:
    """Returns `size + 1`, or the next float64 after 2**53."""
    return float(max(size + 1.0, np.nextafter(size, np.inf)))


def _ends_of_cells(edges: Floats, size: int) -> Floats:
    """Returns the first and the last x of the cells between edges, float64 `[2, cells]`.

    Both are those of the next x if there is none in the cell, and at most `size`.
    """
    first = np.minimum(np.ceil(edges[:-1]), size)
    return np.stack((first, np.clip(np.ceil(edges[1:]) - 1.0, first, size)))


def _bits(x: Any) -> Any:
    """Returns the bits of float64 numbers, as int64."""
    return np.asarray(x, np.float64).view(np.int64)


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
    bin_of = np.searchsorted(starts, np.arange(len(probs)), side="right") - 1
    # Close knots would amplify rounding, so all probabilities of their bin are integrated.
    is_close = np.diff(logs[knots], axis=0).min(axis=0) < _CLOSE
    asked = np.union1d(knots, np.flatnonzero(is_close[bin_of]))
    ratios = np.full(len(probs), np.nan)
    ratios[asked] = np.log(times.inclusion(probs[asked]) / probs[asked])
    rest = np.flatnonzero(np.isnan(ratios))  # in bins of five or more, whose four knots differ
    own = knots[:, bin_of[rest]]
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
