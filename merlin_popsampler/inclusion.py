"""Expected counts of a batch of draws: exact inclusion probabilities, and a short table of them."""

import math
from dataclasses import dataclass, field
from typing import Any, Callable, Tuple

import numpy as np
import numpy.typing as npt

from .errors import PopSamplerError
from .laws import Empirical, Law, LogUniform

Floats = npt.NDArray[np.float64]

_LOG_TINY = 36.0
"""Probabilities below exp(-36) = 2e-16 are dropped."""
_EXACT_VARIANCE = 100.0
"""Up to this variance a count is treated exactly, above by its cumulants."""
_SMALL = 0.05
"""Arrival probabilities this close to 0 or 1 enter by their power sums."""
_POWERS = 12
_HEAD = 96
_CELLS = 64
_MAX_TARGETS = 512

_PANEL = np.polynomial.legendre.leggauss(12)
_erfc = np.frompyfunc(math.erfc, 1, 1)


@dataclass(frozen=True)
class PriceTable:
    """Expected count of every rank of a law in a batch, short enough to live on any device.

    `kind` says how to look a rank up (outside `[0, size)` the answer is 1 in every kind):
      "draws": `num_sampled * law.prob(rank)`; values is empty.
      "constant": `values[0]` for every rank.
      "by_step": `values[step of the rank]`, for `Empirical`.
      "by_rank": values is `[rows, 4]`. Ranks below `head` have their own row, with
        `cell = rank`; further ranks have `cell = head + (log(rank + 1.5) - origin) * scale`. With
        `row = min(floor(cell), rows - 1)`, `f = cell - row` and `v = values[row]` the price is
        `min(1, exp(v[0] + f * (v[1] + f * (v[2] + f * v[3]))) / (rank + 1.5))`.

    In float32 the price is within 3e-6 (relative) of the one in float64.

    Attributes:
      law: the law that was priced.
      num_sampled: draws of a batch.
      kind: see above.
      values: float64, see above; under 4 KB in float32.
      head, origin, scale: see "by_rank".
    """

    law: Law
    num_sampled: int
    kind: str
    values: Floats = field(compare=False)
    head: int = 0
    origin: float = 0.0
    scale: float = 0.0

    def expected_count(self, ranks: Any) -> Floats:
        """Expected number of times that each rank is in a batch, float64 of the ranks' shape."""
        ranks = np.asarray(ranks)
        inside = (ranks >= 0) & (ranks < self.law.size)
        return np.where(inside, self._lookup(np.where(inside, ranks, 0)), 1.0)

    def _lookup(self, ranks: Any) -> Any:
        if self.kind == "draws":
            return self.num_sampled * self.law.prob(ranks)
        if self.kind == "constant":
            return self.values[0]
        if self.kind == "by_step" and isinstance(self.law, Empirical):
            return self.values[self.law.step(ranks)]
        shifted = ranks + 1.5
        cell = self.head + (np.log(shifted) - self.origin) * self.scale
        cell = np.where(ranks < self.head, ranks, cell)
        row = np.clip(np.floor(cell), 0, len(self.values) - 1)
        rest, v = cell - row, self.values[row.astype(np.int64)]
        log = v[..., 0] + rest * (v[..., 1] + rest * (v[..., 2] + rest * v[..., 3]))
        return np.minimum(np.exp(log) / shifted, 1.0)


def price_table(law: Law, num_sampled: int, unique: bool) -> PriceTable:
    """The table of expected counts for batches of `num_sampled` draws.

    Args:
      law: the law of one draw.
      num_sampled: draws of a batch, at least 1; at most `law.size` if unique.
      unique: without repetition (inclusion probabilities) or with (`num_sampled * prob`).

    Example:
      >>> price_table(LogUniform(3), 3, unique=True).expected_count([0, 2, 3]).tolist()
      [1.0, 1.0, 1.0]
      >>> price_table(LogUniform(3), 2, unique=False).expected_count([0, 3]).tolist()
      [1.0, 1.0]
    """
    num_sampled = _checked(law, num_sampled, unique)
    if not unique or num_sampled == 1:
        return PriceTable(law, num_sampled, "draws", np.zeros(0))
    probs, _ = law.nodes()
    if num_sampled == law.size or probs[0] == probs[-1]:
        return PriceTable(law, num_sampled, "constant", np.array([num_sampled / law.size]))
    if isinstance(law, Empirical):
        prices = inclusion_probability(law, num_sampled, law.step_probs)
        return PriceTable(law, num_sampled, "by_step", prices)
    if isinstance(law, LogUniform):
        return _table_by_rank(law, num_sampled)
    raise PopSamplerError(
        f"Expected a law of merlin_popsampler.laws. Received: {law!r}. "
        "Give the measured popularity as Empirical steps instead."
    )


def _table_by_rank(law: LogUniform, num_sampled: int) -> PriceTable:
    """Head ranks one by one, then a cubic on each of equal cells of `log(rank + 1.5)`.

    What is interpolated, `log(price * (rank + 1.5))`, hardly moves along the tail.
    """
    head = min(_HEAD, law.size)
    ranks = np.arange(head, dtype=np.float64)
    if law.size == head:
        prices = inclusion_probability(law, num_sampled, law.prob(ranks))
        values = np.zeros((head, 4))
        values[:, 0] = np.log(prices * (ranks + 1.5))
        return PriceTable(law, num_sampled, "by_rank", values, head)
    origin, end = math.log(head + 1.5), math.log(law.size + 0.5)
    middle, half = 0.5 * (origin + end), 0.5 * max(end - origin, 1e-3)
    cosines = np.cos(np.pi * (np.arange(40) + 0.5) / 40)
    shifted = np.exp(middle + half * cosines)
    # log1p at real ranks; every id of the tail lies between two of these
    tail = np.log1p(1.0 / (shifted - 0.5)) / math.log1p(law.size)
    prices = inclusion_probability(law, num_sampled, np.concatenate((law.prob(ranks), tail)))
    logs = np.log(prices * np.concatenate((ranks + 1.5, shifted)))
    curve = np.polynomial.chebyshev.Chebyshev.fit(cosines, logs[head:], 39, domain=[-1, 1])
    knots = np.cos(np.pi * (np.arange(4) + 0.5) / 4) / 2 + 0.5
    width = 2 * half / _CELLS
    places = (width * (np.arange(_CELLS)[:, None] + knots) - half) / half
    values = np.zeros((head + _CELLS, 4))
    values[:head, 0] = logs[:head]
    values[head:] = curve(places) @ np.linalg.inv(np.vander(knots, increasing=True)).T
    return PriceTable(law, num_sampled, "by_rank", values, head, origin, 1.0 / width)


def inclusion_probability(law: Law, num_sampled: int, probs: Any) -> Floats:
    """Probability that an id is among the first `num_sampled` distinct draws.

    Id i arrives at the time Exp(p_i), independently of the others, and the sample is the first K
    to arrive; so, with the number of others that have arrived by x, a Poisson-binomial count,

      pi_i = integral over x > 0 of p_i exp(-p_i x) P(others by x <= K - 1).

    Args:
      law: the law of one draw.
      num_sampled: K, from 1 to `law.size`.
      probs: float64 `[n]`, one-draw probabilities of ids of the law.

    Returns:
      float64 `[n]`, relative error below 1e-6.

    Example:
      >>> inclusion_probability(Empirical(Steps.from_counts([2, 1, 1])), 2, [0.5, 0.25]).round(12)
      array([0.83333333, 0.58333333])

    References:
      Hajek (1981), Sampling from a Finite Population (successive sampling).
      Rosen (1972), Asymptotic theory for successive sampling, section 2 (the race).
    """
    num_sampled = _checked(law, num_sampled, True)
    targets = np.asarray(probs, np.float64)
    if num_sampled == law.size:
        return np.ones(targets.shape)
    if num_sampled == 1:
        return targets.copy()
    nodes, multiplicities = law.nodes()
    order = np.argsort(-nodes, kind="stable")
    race = _Race(nodes[order], multiplicities[order], num_sampled)
    return race.inclusion(targets)


class _Race:
    """The count of arrivals by a time x, and integrals over x of its distribution."""

    def __init__(self, probs: Floats, multiplicities: Floats, num_sampled: int) -> None:
        self.probs = probs
        self.multiplicities = multiplicities
        self.num_sampled = num_sampled
        self.size = float(multiplicities.sum())

    def inclusion(self, targets: Floats) -> Floats:
        """The integral for each probability of `targets` `[n]`."""
        certain, times, weights = self._panels()
        prices = -np.expm1(-targets * certain)
        cumulants = self._cumulants(times)
        wide = cumulants[1] > _EXACT_VARIANCE
        chance = np.empty((len(times), len(targets)))
        arrived = -np.expm1(-np.outer(times, targets))
        if wide.any():
            chance[wide] = _edgeworth(self.num_sampled, cumulants[:, wide], arrived[wide])
        for i in np.flatnonzero(~wide):
            chance[i] = self._exact(times[i], cumulants[:2, i], arrived[i])
        prices += targets * (weights @ (chance * (1.0 - arrived)))
        return np.minimum(prices, 1.0)

    def _moments(self, time: float) -> Tuple[float, float]:
        missing = np.exp(-self.probs * time)
        arrived = self.multiplicities * -np.expm1(-self.probs * time)
        return float(arrived.sum()), float(arrived @ missing)

    def _score(self, time: float) -> float:
        """Signed sqrt of Bennett's exponent: below -6 the count is surely under K, above 6 over."""
        mean, variance = self._moments(time)
        gap = abs(mean - self.num_sampled)
        if variance <= 0.0:
            return math.copysign(99.0, mean - self.num_sampled)
        ratio = gap / variance
        exponent = variance * ((1 + ratio) * math.log1p(ratio) - ratio) if ratio > 1e-4 else (
            0.5 * gap * ratio
        )
        return math.copysign(math.sqrt(exponent), mean - self.num_sampled)

    def _panels(self) -> Tuple[float, Floats, Floats]:
        """A time until which fewer than K have surely arrived, then quadrature times and weights.

        Panels are equal steps of log time plus score, so that neither a sudden rise of the count
        nor a long plateau is missed.
        """
        edge = math.sqrt(_LOG_TINY)
        early = math.log(0.05 * self.num_sampled)
        late = math.log((_LOG_TINY + math.log(self.size) + 10) / self.probs[-1])
        late = _bisect(lambda y: self._score(math.exp(y)) > edge, early, late)
        start = _bisect(lambda y: self._score(math.exp(y)) > -edge, early, late)
        certain = math.exp(start) if start > early else 0.0
        grid = np.linspace(start, late, 65)
        scores = np.array([self._score(math.exp(y)) for y in grid])
        length = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(scores)) + np.diff(grid))))
        count = int(length[-1]) + 2
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

    def _cumulants(self, times: Floats) -> Floats:
        """First four cumulants of the count at each time, `[4, times]`."""
        result = np.empty((4, len(times)))
        rows = max(1, 1_000_000 // len(self.probs))
        for i in range(0, len(times), rows):
            arrived = -np.expm1(-np.outer(times[i : i + rows], self.probs))
            for order, cumulant in enumerate(_bernoulli(arrived)):
                result[order, i : i + rows] = cumulant @ self.multiplicities
        return result

    def _exact(self, time: float, moments: Floats, arrived: Floats) -> Floats:
        """P(others <= K - 1) by the discrete Fourier transform of the count's distribution."""
        mean, variance = moments
        reach = _LOG_TINY / 3 + math.sqrt(_LOG_TINY**2 / 9 + 2 * _LOG_TINY * variance)
        low = max(0, math.floor(mean - reach) - 1)
        high = min(int(round(self.size)), math.ceil(mean + reach))
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
        """log E exp(i angle count): the ids in between one by one, the rest by power sums.

        log(1 + q u) = sum of (-1)^(r+1) (q u)^r / r for small q, u = exp(i angle) - 1; and the same
        with 1 - q and the conjugate of u for q close to 1, times exp(i angle).
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
    """P(others <= K - 1) from four cumulants, `[times, targets]`.

    1/12 and 7/240 turn the cumulants of a count into those of the density whose integral up to
    K - 1/2 is the sum up to K - 1.
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
    """Where `above` turns true; `low` if it is true there already."""
    if above(low):
        return low
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if above(middle) else (middle, high)
    return high


def _checked(law: Law, num_sampled: int, unique: bool) -> int:
    if isinstance(num_sampled, bool) or int(num_sampled) != num_sampled or num_sampled < 1:
        raise PopSamplerError(
            f"Expected num_sampled to be a whole number >= 1. Received: {num_sampled!r}. "
            "Pass the number of ids that a batch draws."
        )
    if unique and num_sampled > law.size:
        raise PopSamplerError(
            f"Expected at most {law.size} unique samples, the size of the catalog. "
            f"Received: {num_sampled}. Ask for fewer, or draw with repetition (unique=False)."
        )
    return int(num_sampled)
