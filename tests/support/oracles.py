"""Slow, independent computations, which import none of the modules that they check."""

from functools import lru_cache
from typing import Any, Iterator, List, Sequence, Tuple

import numpy as np

CLIFFS = {
    "one item of 30 %": [300] + [7] * 100,
    "three items of 30 %": [3000] * 3 + [10] * 100,
    "100 items hold 99.9 %": [999] * 100 + [1] * 100,
}
"""Difficult distributions: counts with a sudden fall."""


def log_uniform_probs(size: int) -> Any:
    """float64 `[size]`: a difference of float64 logs, right to 1e-10 at the sizes used here."""
    return np.diff(np.log(np.arange(1.0, size + 2.0))) / np.log(size + 1.0)


def enumerate_inclusion(probs: Sequence[float], num_sampled: int) -> Any:
    """Enumerates successive sampling: inclusion probability of each id, `[n]`.

    The ids drawn so far are a bit mask; the next one is any other, in proportion to its
    probability. For up to about 12 ids.
    """
    probs = tuple(float(p) for p in probs)
    ids = range(len(probs))

    @lru_cache(maxsize=None)
    def chance(mask: int) -> float:
        """Returns the probability that the first drawn ids are the set `mask`, in any order."""
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
    """Yields every ordered sample of distinct ids with its probability by successive sampling."""
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


def inclusion_by_groups(probs: Any, sizes: Any, num_sampled: int) -> Any:
    """Computes inclusion probabilities by group, whose ids are equally likely.

    Group g has `sizes[g]` ids of probability `probs[g]`, in any scale. Draw by draw, it computes
    the distribution of the number of ids drawn from each group. It uses only sums, products and
    quotients of positive numbers, so it is exact for rare groups too. The number for the last group
    follows from the rest. The work is `num_sampled` times the product of the sizes but the last.
    """
    *firsts, last = [int(size) for size in sizes]
    shape = [size + 1 for size in firsts]
    drawn = np.indices(shape)
    of_firsts = np.asarray(drawn.sum(axis=0))
    rates = [p * (n - d) for p, n, d in zip(probs, firsts, drawn)]
    chance = np.zeros(shape)
    chance[(0,) * len(shape)] = 1.0
    for k in range(num_sampled):
        rate_of_last = probs[-1] * np.clip(last - (k - of_firsts), 0, last)
        left = rate_of_last + sum(rates)
        share = np.divide(chance, left, out=np.zeros(shape), where=chance > 0)
        chance = share * rate_of_last
        for axis, rate in enumerate(rates):
            less, more = [slice(None)] * len(shape), [slice(None)] * len(shape)
            less[axis], more[axis] = slice(None, -1), slice(1, None)
            chance[tuple(more)] += (share * rate)[tuple(less)]
    found = [np.sum(d * chance) for d in [*drawn, num_sampled - of_firsts]]
    return np.array(found) / np.asarray(sizes)


def integral_inclusion(probs: Any, step: float = 0.02) -> Any:
    """Computes inclusion probabilities of every id for every K from 1 to n, `[n, n]` (row K - 1).

    pi_i(K) = integral over x of p_i exp(-p_i x) P(fewer than K ids other than i by x). The rule is
    the trapezoid rule in log x, which converges exponentially for such an integrand. P comes from
    dynamic programming over the ids. `step` must be well below the relative width of the time of
    the K-th arrival, about 1 / sqrt(K).
    """
    probs = np.asarray(probs, np.float64)
    end = np.log((45.0 + np.log(len(probs))) / probs.min())
    # multiples of the step: np.arange(start, end, step) rounds the step itself, to 2e-13
    x = np.exp(step * np.arange(np.floor(-36.0 / step), end / step))[:, None]
    arrived, missing = -np.expm1(-probs * x), np.exp(-probs * x)
    others = _without_one(_poisson_binomial(arrived, missing), arrived, missing)
    density = step * x * probs * missing
    return np.stack([(chance * density).sum(axis=0) for chance in _running_sums(others)])


def integral_of_one(probs: Any, index: int, num_sampled: int) -> float:
    """Computes the inclusion probability of one id by Gauss-Legendre quadrature."""
    probs = np.asarray(probs, np.float64)
    own, others = probs[index], np.delete(probs, index)
    grid, mean, spread = _arrivals(others.tobytes(), float(probs.min()))
    first = grid[max(0, np.flatnonzero(mean + spread + 40.0 < num_sampled).size - 1)]
    last = grid[min(len(grid) - 1, np.argmax(mean - spread - 40.0 > num_sampled) or len(grid))]
    nodes, weights = np.polynomial.legendre.leggauss(8)
    edges = np.geomspace(first, last, 41) if mean[grid == first] > 0.02 * num_sampled else None
    if edges is None:
        first, edges = 0.0, np.append(0.0, np.geomspace(0.05 * num_sampled, last, 60))
    half = 0.5 * np.diff(edges)[:, None]
    x = (half * (1 + nodes) + edges[:-1, None]).ravel()[:, None]
    chance = _fewer_than(num_sampled, -np.expm1(-others * x), np.exp(-others * x))
    return float(
        -np.expm1(-own * first)
        + ((half * weights).ravel() * own * np.exp(-own * x[:, 0]) * chance).sum()
    )


@lru_cache(maxsize=8)
def _arrivals(others: bytes, smallest: float) -> Tuple[Any, Any, Any]:
    """Times, and mean and nine standard deviations of the ids that have arrived by then."""
    probs = np.frombuffer(others)
    grid = np.exp(np.linspace(-8.0, np.log(60.0 / smallest), 4000))
    mean = np.array([-np.expm1(-probs * x).sum() for x in grid])
    spread = 9.0 * np.sqrt([(np.exp(-probs * x) * -np.expm1(-probs * x)).sum() for x in grid])
    return grid, mean, spread


def _fewer_than(num: int, arrived: Any, missing: Any) -> Any:
    """Probability that fewer than `num` have arrived, `[x]`, from the shorter of both counts."""
    behind = arrived.shape[1] + 1 - num
    if 0 < behind < num:  # unless at most n - num are missing
        return 1.0 - _poisson_binomial(missing, arrived, behind).sum(axis=1)
    return _poisson_binomial(arrived, missing, num).sum(axis=1)


def _poisson_binomial(arrived: Any, missing: Any, counts: int = 0) -> Any:
    """Distribution of the count of arrivals, `[x, counts]`; by default of all n + 1 counts."""
    counts = counts or arrived.shape[1] + 1
    result = np.zeros((len(arrived), counts))
    result[:, 0] = 1.0
    for i in range(arrived.shape[1]):
        top = min(i + 2, counts)
        more = result[:, : top - 1] * arrived[:, i : i + 1]
        result[:, :top] *= missing[:, i : i + 1]
        result[:, 1:top] += more
    return result


def _without_one(all_ids: Any, arrived: Any, missing: Any) -> Any:
    """Removes each id from the distribution of the count, `[n counts, x, n ids]`.

    It undoes a convolution: upwards if the id has probably not arrived, otherwise downwards, since
    errors then shrink.
    """
    size = arrived.shape[1]
    result = np.zeros((size, *arrived.shape))
    low = arrived <= 0.5
    q, e = np.where(low, arrived, 0.0), np.where(low, missing, 1.0)
    last: Any = 0.0
    for k in range(size):
        last = result[k] = (all_ids[:, k, None] - q * last) / e
    q, e = np.where(low, 1.0, arrived), np.where(low, 0.0, missing)
    last = 0.0
    for k in range(size - 1, -1, -1):
        last = (all_ids[:, k + 1, None] - e * last) / q
        np.copyto(result[k], last, where=~low)
    return result


def _running_sums(others: Any) -> Iterator[Any]:
    total = np.zeros(others.shape[1:])
    for chance in others:
        total += chance
        yield total
