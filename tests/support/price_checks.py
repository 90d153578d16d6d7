"""Laws with their exact prices, and sums over catalogs that are too long to be summed."""

import numpy as np

from merlin_popsampler.core.laws import Empirical, LogUniform
from merlin_popsampler.core.steps import Steps
from tests.support.oracles import CLIFFS, integral_inclusion, log_uniform_probs

TOLERANCE = 1e-5
"""Largest relative error of a price as it ships, in whatever precision."""
_cache = {}


def exact(name):
    """The law, and its inclusion probabilities for every K, `[K - 1, id]`."""
    if name not in _cache:
        if isinstance(name, int):
            law, probs = LogUniform(name), log_uniform_probs(name)
        else:
            counts = CLIFFS[name]
            law, probs = Empirical(Steps.from_counts(counts)), np.array(counts) / sum(counts)
        _cache[name] = law, integral_inclusion(probs)
    return _cache[name]


def worst(prices, expected):
    return np.abs(np.asarray(prices, np.float64) / expected - 1).max()


SIZES = [10, 1000, 10**6, 10**9]


def ks(size):
    near = {size - 1, size - 7, size - size // 10, size // 2, size // 5}
    return sorted({k for k in near | {1, 2, 3, 10, 100, 1000, 10**5} if 1 <= k <= size} | {size})


def total(price, size):
    """Sum over all ranks: one by one to 1e6, then by a fine Gauss-Legendre rule in log rank."""
    block = min(size, 10**6)
    result = np.sum(price(np.arange(block)), dtype=np.float64)
    if size > block:
        nodes, weights = np.polynomial.legendre.leggauss(16)
        edges = np.linspace(np.log(block - 0.5), np.log(size - 0.5), 101)
        half = 0.5 * np.diff(edges)[:, None]
        ranks = np.exp(edges[:-1, None] + half * (1 + nodes)).ravel()
        result += np.sum(price(ranks) * ranks * (half * weights).ravel())
    return result
