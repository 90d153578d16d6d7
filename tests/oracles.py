"""Slow and independent answers: nothing here imports the modules that it judges."""

from functools import lru_cache
from typing import Any, List, Sequence, Tuple

import numpy as np

CLIFFS = {
    "one item of 30 %": [300] + [7] * 100,
    "three items of 30 %": [3000] * 3 + [10] * 100,
    "100 items hold 99.9 %": [999] * 100 + [1] * 100,
}
"""Hard laws: counts with a cliff."""


def log_uniform_probs(size: int) -> Any:
    """float64 `[size]`: a difference of float64 logs, right to 1e-10 at the sizes used here."""
    return np.diff(np.log(np.arange(1.0, size + 2.0))) / np.log(size + 1.0)


def enumerate_inclusion(probs: Sequence[float], num_sampled: int) -> Any:
    """Successive sampling by enumeration of sets: probability of each id to be drawn, `[n]`.

    The ids drawn so far are a bit mask; the next one is any other, in proportion to its
    probability. For up to about 12 ids.
    """
    probs = tuple(float(p) for p in probs)
    ids = range(len(probs))

    @lru_cache(maxsize=None)
    def chance(mask: int) -> float:
        """Probability that the first drawn ids are the set `mask`, in whatever order."""
        if mask == 0:
            return 1.0
        total = 0.0
        for i in ids:
            if mask >> i & 1:
                before = mask & ~(1 << i)
                left = sum(probs[j] for j in ids if not before >> j & 1)
                total += chance(before) * probs[i] / left
        return total

    masks = [m for m in range(1 << len(probs)) if bin(m).count("1") == num_sampled]
    return np.array([sum(chance(m) for m in masks if m >> i & 1) for i in ids])


def enumerate_sequences(
    probs: Sequence[float], num_sampled: int
) -> List[Tuple[Tuple[int, ...], float]]:
    """Every ordered sample of distinct ids with its probability under successive sampling."""
    found: List[Tuple[Tuple[int, ...], float]] = [((), 1.0)]
    for _ in range(num_sampled):
        longer = []
        for chosen, chance in found:
            left = sum(p for i, p in enumerate(probs) if i not in chosen)
            longer += [
                (chosen + (i,), chance * p / left) for i, p in enumerate(probs) if i not in chosen
            ]
        found = longer
    return found


def integral_inclusion(probs: Any, step: float = 0.02) -> Any:
    """Inclusion probabilities of every id for every K from 1 to n, `[n, n]` (row K - 1).

    pi_i(K) = integral over x of p_i exp(-p_i x) P(fewer than K others by x), by the trapezoid rule
    in log x (which converges exponentially for such an integrand) with the distribution of the
    number of others by dynamic programming over the ids. `step` must be well below the relative
    width of the time of the K-th arrival, 1 / sqrt(K) or so. Takes n^2 a point.
    """
    probs = np.asarray(probs, np.float64)
    size = len(probs)
    result = np.zeros((size, size))
    for log_x in np.arange(-36.0, np.log(45.0 + np.log(size)) - np.log(probs.min()), step):
        x = np.exp(log_x)
        arrived = -np.expm1(-probs * x)
        missing = np.exp(-probs * x)
        all_ids = np.ones(1)
        for q, e in zip(arrived, missing):
            longer = np.zeros(len(all_ids) + 1)
            longer[:-1] = all_ids * e
            longer[1:] += all_ids * q
            all_ids = longer
        others = _without_one(all_ids, arrived, missing)
        weight = step * x * probs * missing
        result += weight * np.cumsum(others, axis=0)
    return result


def _without_one(all_ids: Any, arrived: Any, missing: Any) -> Any:
    """Distribution of the count of the others, `[n counts, n ids]`, by undoing one convolution.

    From below where the id has more likely not arrived, from above where it has: then errors
    shrink on the way.
    """
    size = len(arrived)
    upward, downward = np.zeros((size, size)), np.zeros((size, size))
    low, high = arrived <= 0.5, arrived > 0.5
    q, e = arrived[low], missing[low]
    last: Any = np.zeros(len(q))
    for k in range(size):
        last = (all_ids[k] - q * last) / e
        upward[k, low] = last
    q, e = arrived[high], missing[high]
    last = np.zeros(len(q))
    for k in range(size - 1, -1, -1):
        last = (all_ids[k + 1] - e * last) / q
        downward[k, high] = last
    return upward + downward
