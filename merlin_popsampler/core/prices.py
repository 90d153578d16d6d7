"""Expected counts of a batch of draws: exact inclusion probabilities, and a short table of them."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from merlin_popsampler.errors import PopSamplerError

from .arrivals import Race
from .laws import Empirical, Law, LogUniform

Floats = npt.NDArray[np.float64]

_HEAD = 96
"""Ranks with a row of their own: p jumps there, and what lies between two ranks is no id."""
_ALL_HEAD = 240
"""Up to this size every rank has its own row."""
_CELLS = 64
_FEW = 512
"""So many probabilities are integrated one by one, more are interpolated."""
_BIN = 0.125
"""Width of their bins, in log p."""


@dataclass(frozen=True)
class PriceTable:
    """Expected count of every rank of a law in a batch, short enough to live on any device.

    `kind` says how to look a rank up (outside `[0, size)` the answer is 1 in every kind):
      "draws": `num_sampled * law.prob(rank)`; values is empty.
      "constant": `values[0]` for every rank.
      "by_step": `values[step of the rank]`, for `Empirical`.
      "by_rank": values is `[rows, 4]`, cubics. A rank below `head` has its own row, f = 0. For
        others `t = (log(rank + 1.5) - origin) * scale`, `row = head + min(floor(t), cells - 1)`,
        where cells is `rows - head`, and `f = t - (row - head)`. With `v = values[row]` the price
        is `min(1, exp(v[0] + f * (v[1] + f * (v[2] + f * v[3]))) / (rank + 1.5))`.

    Followed in float32, step by step, the price stays within 1e-5 (relative) of the exact integral.

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
        t = np.maximum((np.log(shifted) - self.origin) * self.scale, 0.0)
        cell = np.minimum(np.floor(t), max(len(self.values) - self.head - 1, 0))
        in_head = ranks < self.head
        v = self.values[np.where(in_head, ranks, self.head + cell).astype(np.int64)]
        f = np.where(in_head, 0.0, t - cell)
        log = v[..., 0] + f * (v[..., 1] + f * (v[..., 2] + f * v[..., 3]))
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
    head = law.size if law.size <= _ALL_HEAD else _HEAD
    shifted, width, cells = np.arange(head) + 1.5, 1.0, 0
    knots = 0.5 + 0.5 * np.cos(np.pi * np.array([7.0, 5.0, 3.0, 1.0]) / 8)  # Chebyshev's
    if law.size > head:
        cells = _CELLS
        width = math.log((law.size + 0.5) / (head + 1.5)) / cells
        tail = (head + 1.5) * np.exp(width * (np.arange(cells)[:, None] + knots))
        shifted = np.concatenate((shifted, tail.ravel()))
    probs = np.log1p(1.0 / (shifted - 0.5)) / math.log1p(law.size)  # the law at real ranks
    logs = np.log(inclusion_probability(law, num_sampled, probs) * shifted)
    values = np.zeros((head + cells, 4))
    values[:head, 0] = logs[:head]
    values[head:] = logs[head:].reshape(-1, 4) @ np.linalg.inv(np.vander(knots, increasing=True)).T
    return PriceTable(law, num_sampled, "by_rank", values, head, math.log(head + 1.5), 1.0 / width)


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
      >>> from merlin_popsampler.steps import Steps
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
    race = Race(nodes[order], multiplicities[order], num_sampled)
    distinct, place = np.unique(targets, return_inverse=True)
    prices = race.inclusion(distinct) if len(distinct) <= _FEW else _thinned(race, distinct)
    return np.asarray(prices[place.reshape(targets.shape)])


def _thinned(race: Race, probs: Floats) -> Floats:
    """Inclusion probabilities of many rising `probs`, from four of them in each bin of log p.

    Only probabilities of the law are asked for: between them the count of the *other* ids would not
    be a count. log(price / p) is interpolated, which hardly moves in a bin.
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
    ratios[asked] = np.log(race.inclusion(probs[asked]) / probs[asked])
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
    return np.asarray(probs * np.exp(ratios))


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
