"""Computes inclusion probabilities of distinct draws from the arrival times of ids.

Ids arrive at independent exponential times, and the first K ids to arrive are the sample. This is
successive sampling, see `expected_counts.inclusion_probability`.
"""

import math
from typing import Any, Callable, Tuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_LOG_TINY = 36.0
"""Probabilities below exp(-36) = 2e-16 are neglected."""
_EXACT_VARIANCE = 100.0
"""Up to this variance the distribution of a count is exact; above, cumulants approximate it."""
_SMALL = 0.05
"""Arrival probabilities this close to 0 or 1 enter through their power sums."""
_POWERS = 12

_legendre: Any = np.polynomial.legendre
_PANEL: Tuple[Floats, Floats] = _legendre.leggauss(12)
_erfc = np.frompyfunc(math.erfc, 1, 1)


class ArrivalTimes:
    """Integrates the distribution of the number of arrivals over time.

    Args:
      probs: float64 `[n]`, falling one-draw probabilities.
      multiplicities: float64 `[n]`, the number of ids with each probability.
      num_sampled: K, the number of distinct ids of a batch.

    Examples:
      >>> times = ArrivalTimes(np.array([0.5, 0.25]), np.array([1.0, 2.0]), num_sampled=2)
      >>> times.inclusion(np.array([0.5, 0.25])).round(6).tolist()
      [0.833333, 0.583333]
    """

    def __init__(self, probs: Floats, multiplicities: Floats, num_sampled: int) -> None:
        self.probs = probs
        self.multiplicities = multiplicities
        self.num_sampled = num_sampled
        self.size = float(multiplicities.sum())

    def inclusion(self, targets: Floats) -> Floats:
        """Returns the inclusion probability of each one-draw probability in `targets`, `[n]`."""
        certain, times, weights = self._panels()
        expected_counts = -np.expm1(-targets * certain)
        cumulants = self._cumulants(times)
        wide = cumulants[1] > _EXACT_VARIANCE
        chance = np.empty((len(times), len(targets)))
        arrived = -np.expm1(-np.outer(times, targets))
        if wide.any():
            chance[wide] = _edgeworth(self.num_sampled, cumulants[:, wide], arrived[wide])
        for i in np.flatnonzero(~wide):
            chance[i] = self._exact(times[i], cumulants[:2, i], arrived[i])
        expected_counts += targets * (weights @ (chance * (1.0 - arrived)))
        return np.asarray(np.minimum(expected_counts, 1.0))

    def _moments(self, time: float) -> Tuple[float, float]:
        missing = np.exp(-self.probs * time)
        arrived = self.multiplicities * -np.expm1(-self.probs * time)
        return float(arrived.sum()), float(arrived @ missing)

    def _score(self, time: float) -> float:
        """Returns the signed root of Bennett's exponent.

        Below -6 the count is almost surely below K, and above 6 it is almost surely above K.
        """
        mean, variance = self._moments(time)
        gap = abs(mean - self.num_sampled)
        if variance <= 0.0:
            return math.copysign(99.0, mean - self.num_sampled)
        ratio = gap / variance
        exponent = (
            variance * ((1 + ratio) * math.log1p(ratio) - ratio)
            if ratio > 1e-4
            else (0.5 * gap * ratio)
        )
        return math.copysign(math.sqrt(exponent), mean - self.num_sampled)

    def _panels(self) -> Tuple[float, Floats, Floats]:
        """Returns a time before which fewer than K have arrived, quadrature times and weights.

        Panels are equal steps of log time plus score. So they resolve a sudden rise of the count as
        well as a long plateau.
        """
        edge = math.sqrt(_LOG_TINY)
        early = math.log(0.05 * self.num_sampled)
        late = self._last(early)
        late = _bisect(lambda y: self._score(math.exp(y)) > edge, early, late)
        start = _bisect(lambda y: self._score(math.exp(y)) > -edge, early, late)
        certain = math.exp(start) if start > early else 0.0
        grid = np.linspace(start, late, 65)
        scores = np.array([self._score(math.exp(y)) for y in grid])
        length = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(scores)) + np.diff(grid))))
        count = int(0.5 * length[-1]) + 2
        breaks = np.interp(np.linspace(0.0, length[-1], count + 1), length, grid)
        nodes, weights = _PANEL
        half = 0.5 * np.diff(breaks)[:, None]
        times = np.exp(half * nodes + breaks[:-1, None] + half)
        weights = (half * weights * times).ravel()
        times = times.ravel()
        if certain == 0.0:
            first = 0.5 * math.exp(start)
            times = np.concatenate((first * (1 + _PANEL[0]), times))
            weights = np.concatenate((first * _PANEL[1], weights))
        return certain, times, weights

    def _last(self, early: float) -> float:
        """Returns the logarithm of a time after which the integrals of all ranks are negligible.

        When K arrivals are expected, the chance of fewer is at most 1/2, since the median of such a
        count is next to its mean. After s times that time it is at most 2^-s, since each of s equal
        spans brings K arrivals with that chance. So the neglected part is small relative to every
        expected count. Rounding errors, summed until the rarest ids arrive, would be larger.
        """
        never = math.log((_LOG_TINY + math.log(self.size) + 10) / self.probs[-1])
        half = _bisect(lambda y: self._moments(math.exp(y))[0] >= self.num_sampled, early, never)
        return min(never, half + math.log(_LOG_TINY / math.log(2)))

    def _cumulants(self, times: Floats) -> Floats:
        """Returns the first four cumulants of the count at each time, `[4, times]`."""
        result = np.empty((4, len(times)))
        rows = max(1, 1_000_000 // len(self.probs))
        for i in range(0, len(times), rows):
            arrived = -np.expm1(-np.outer(times[i : i + rows], self.probs))
            for order, cumulant in enumerate(_bernoulli(arrived)):
                result[order, i : i + rows] = cumulant @ self.multiplicities
        return result

    def _exact(self, time: float, moments: Floats, arrived: Floats) -> Floats:
        """Returns P(at most K - 1 other ids) by a discrete Fourier transform."""
        mean, variance = moments
        reach = _LOG_TINY / 3 + math.sqrt(_LOG_TINY**2 / 9 + 2 * _LOG_TINY * variance)
        low = max(0, math.floor(mean - reach) - 1)
        high = min(round(self.size), math.ceil(mean + reach))
        if self.num_sampled > high:
            return np.ones_like(arrived)
        if self.num_sampled <= low:
            return np.zeros_like(arrived)
        points = (high - low + 1) | 1  # odd: no root of unity at -1, where 1 + q (z - 1) may vanish
        angles = 2 * np.pi * np.arange(1, points // 2 + 1) / points
        # |characteristic function| <= exp(-variance (1 - cos angle))
        angles = angles[variance * (1 - np.cos(angles)) < _LOG_TINY + 4]
        shift = np.exp(1j * angles) - 1.0
        log_phi = self._log_characteristic(time, shift, angles)
        terms = self.num_sampled - low
        kernel = np.exp(log_phi - 1j * low * angles) * -np.expm1(-1j * terms * angles)
        kernel /= -np.expm1(-1j * angles)
        others = kernel / (1.0 + np.outer(arrived, shift))
        return np.asarray((terms + 2.0 * others.sum(axis=1).real) / points)

    def _log_characteristic(self, time: float, shift: Any, angles: Floats) -> Any:
        """Returns the logarithm of E exp(i angle count).

        Probabilities q near 0 or 1 enter through power sums, all other q one by one. For small q,
        log(1 + q u) = sum of (-1)^(r+1) (q u)^r / r with u = exp(i angle) - 1. For q near 1, the
        same holds with 1 - q and the conjugate of u, times exp(i angle).
        """
        first, last = np.searchsorted(
            -self.probs, [math.log(_SMALL) / time, math.log1p(-_SMALL) / time]
        )
        middle = slice(first, last)
        q = -np.expm1(-self.probs[middle] * time)
        log_phi = self.multiplicities[middle] @ np.log1p(np.outer(q, shift))
        sure, rare = slice(0, first), slice(last, None)
        log_phi = log_phi + 1j * angles * self.multiplicities[sure].sum()
        for part, base, u in (
            (sure, np.exp(-self.probs[sure] * time), np.conj(shift)),
            (rare, -np.expm1(-self.probs[rare] * time), shift),
        ):
            power, factor = self.multiplicities[part].copy(), -np.ones_like(u)
            for r in range(1, _POWERS + 1):
                power, factor = power * base, -factor * u
                log_phi = log_phi + factor * (power.sum() / r)
        return log_phi


def _bernoulli(arrived: Floats) -> Tuple[Floats, Floats, Floats, Floats]:
    missing = 1.0 - arrived
    both = arrived * missing
    return arrived, both, both * (missing - arrived), both * (1.0 - 6.0 * both)


def _edgeworth(num_sampled: int, cumulants: Floats, arrived: Floats) -> Floats:
    """Returns P(at most K - 1 other ids) from four cumulants, `[times, targets]`.

    The terms 1/12 and 7/240 turn the cumulants of a count into those of a density. Its integral up
    to K - 1/2 is the sum of the count's probabilities up to K - 1.
    """
    k1, k2, k3, k4 = (all_[:, None] - one for all_, one in zip(cumulants, _bernoulli(arrived)))
    k2, k4 = k2 - 1 / 12, k4 + 7 / 240
    z = (num_sampled - 0.5 - k1) / np.sqrt(k2)
    skew, excess = k3 / k2**1.5, k4 / k2**2
    z2 = z * z
    hermite = (
        skew / 6 * (z2 - 1)
        + excess / 24 * z * (z2 - 3)
        + skew**2 / 72 * z * (z2 * z2 - 10 * z2 + 15)
    )
    density = np.exp(-0.5 * z2) / math.sqrt(2 * math.pi)
    normal = 0.5 * np.asarray(_erfc(-z / math.sqrt(2)), np.float64)
    return np.asarray(normal - density * hermite)


def _bisect(above: Callable[[float], bool], low: float, high: float) -> float:
    """Returns the point at which `above` becomes true, or `low` if it is true there."""
    if above(low):
        return low
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if above(middle) else (middle, high)
    return high
