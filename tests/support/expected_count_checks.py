"""Distributions with exact expected counts, and approximate sums over huge catalogs."""

import numpy as np

from merlin_popsampler.core.distributions import Empirical, LogUniform
from merlin_popsampler.core.popularity_curve import PopularityCurve
from tests.support.oracles import CLIFFS, inclusion_by_groups, integral_inclusion, log_uniform_probs

TOLERANCE = 6e-6
"""Largest allowed relative error of an expected count, in any precision."""
_cache = {}


def exact(name):
    """Returns a distribution, and its inclusion probabilities for every K, `[K - 1, id]`."""
    if name not in _cache:
        if isinstance(name, int):
            distribution, probs = LogUniform(name), log_uniform_probs(name)
        else:
            counts = CLIFFS[name]
            distribution, probs = (
                Empirical(PopularityCurve.from_counts(counts)),
                np.array(counts) / sum(counts),
            )
        _cache[name] = distribution, integral_inclusion(probs)
    return _cache[name]


def worst(expected_counts, expected):
    return np.abs(np.asarray(expected_counts, np.float64) / expected - 1).max()


STEEP = {
    "two at 1e6, distortion 2": ([10**6, 10**6, 10**3, 1], 2.0),
    "two at 1e6, distortion 2.25": ([10**6, 10**6, 10**3, 1], 2.25),
    "two at 1e6, distortion 2.5": ([10**6, 10**6, 10**3, 1], 2.5),
    "two at 1e6, distortion 3": ([10**6, 10**6, 10**3, 1], 3.0),
    "two at 1e12": ([10**12, 10**12, 1, 1], 1.0),
    "two at 1e14": ([10**14, 10**14, 1, 1], 1.0),
    "two at 2**53": ([2**53, 2**53, 1, 1], 1.0),
    "1e7, 1e4, 10, distortion 6": ([10**7, 10**4, 10], 6.0),
    "1000, 10, 1, distortion 12": ([1000, 10, 1], 12.0),
    "three groups": ([10**5] * 5 + [10**2] * 15 + [1] * 20, 4.0),
    "all but the last": ([10**9] * 30 + [1], 3.0),
}
"""Counts and distortions with extremely rare ids, which only large batches contain."""


def steep(name):
    """Returns a distribution, and a function from K to exact expected counts by rank."""
    counts, distortion = STEEP[name]
    distribution = Empirical(PopularityCurve.from_counts(counts), distortion)
    return distribution, lambda num_sampled: by_groups(counts, distortion, num_sampled)


def by_groups(counts, distortion, num_sampled):
    """Returns exact expected counts by rank, computed from the counts."""
    values, sizes = np.unique(np.array(counts, np.float64), return_counts=True)
    weights = (values[::-1] / values[-1]) ** distortion
    expected_counts = inclusion_by_groups(weights, sizes[::-1], num_sampled)
    return np.repeat(expected_counts, sizes[::-1])


def thinned(size):
    """Returns numbers of samples: all near the ends and cliffs, every 13th between them."""
    near = {*range(1, 13), *range(19, 22), *range(95, 106), *range(size - 6, size + 1)}
    return sorted({*range(1, size + 1, 13), *near} & {*range(1, size + 1)})


SIZES = [10, 1000, 10**6, 10**9]


def ks(size):
    near = {size - 1, size - 7, size - size // 10, size // 2, size // 5}
    return sorted({k for k in near | {1, 2, 3, 10, 100, 1000, 10**5} if 1 <= k <= size} | {size})


def total(expected_count, size):
    """Sums over all ranks: singly to 1e6, then by a fine Gauss-Legendre rule in log rank."""
    block = min(size, 10**6)
    result = np.sum(expected_count(np.arange(block)), dtype=np.float64)
    if size > block:
        nodes, weights = np.polynomial.legendre.leggauss(16)
        edges = np.linspace(np.log(block - 0.5), np.log(size - 0.5), 101)
        half = 0.5 * np.diff(edges)[:, None]
        ranks = np.exp(edges[:-1, None] + half * (1 + nodes)).ravel()
        result += np.sum(expected_count(ranks) * ranks * (half * weights).ravel())
    return result
