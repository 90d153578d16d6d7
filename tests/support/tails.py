"""Checks that draws from huge catalogs follow their distribution down to the rarest items.

The check's false-alarm rate is `LEVEL`. Its power against a wrong sampler is bounded from below
without approximation: by the exact mean and variance of its statistic and Cantelli's inequality.
"""

from dataclasses import dataclass
from typing import Any, Callable, Dict, Tuple

import numpy as np
from scipy import stats

from merlin_popsampler.core.distributions import Distribution, Empirical, LogUniform
from merlin_popsampler.core.philox import random_uniforms
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.core.reference_draw import to_ranks
from merlin_popsampler.core.tables import inverse_table
from tests.support.statistics_checks import LEVEL

FEWEST = 1000.0
"""Minimum number of expected draws in each band."""
BANDS = 1000
_STEPS = 256
_BLOCK = 2**20


@dataclass
class Tail:
    """A distribution of a catalog, cut into bands of about equal probability.

    Attributes:
      distribution: what is drawn from.
      edges: first rank of each band, and the catalog's size.
      probs: probability of each band, by formulas of the test's own.
    """

    distribution: Distribution
    edges: Any
    probs: Any

    def counted(self, ranks: Any) -> Any:
        """Counts draws in each band; the last two numbers are draws outside the range."""
        bands = np.searchsorted(self.edges, ranks, side="right") - 1
        return np.bincount(bands % (len(self.edges) + 1), minlength=len(self.edges) + 1)

    def follows(self, ranks: Any) -> bool:
        """Tests draws by chi-square over the bands."""
        *counts, above, below = self.counted(ranks)
        if above or below:
            return False
        return bool(statistic(np.array(counts), self.probs) <= self.limit)

    @property
    def limit(self) -> float:
        return float(stats.chi2.isf(LEVEL, len(self.probs) - 1))


def log_uniform(size: int) -> Tail:
    whole = np.log(size + 1.0)
    edges = np.exp(np.linspace(0.0, whole, BANDS + 1)) - 1.0
    edges = np.unique(edges.round().astype(np.int64).clip(0, size))
    return Tail(LogUniform(size), edges, np.diff(np.log(edges + 1.0)) / whole)


def measured(size: int) -> Tail:
    """Returns a curve of 256 steps whose counts fall as rank**-0.9."""
    starts = np.unique(np.geomspace(1, size, _STEPS + 1).astype(np.int64))[:-1] - 1
    lengths = np.diff(starts, append=size)
    masses = lengths * (size / (starts + 1.0)) ** 0.9 // 1
    before = np.concatenate([[0], np.cumsum(masses.astype(np.int64))])
    ends = np.append(starts, size)
    wanted = np.linspace(0, before[-1], BANDS + 1)
    edges = np.unique(np.interp(wanted, before, ends).round().astype(np.int64))
    probs = np.diff(np.interp(edges, ends, before)) / before[-1]
    return Tail(Empirical(PopularityCurve(starts, masses.astype(np.int64), size)), edges, probs)


TAILS: Dict[str, Callable[[int], Tail]] = {"log_uniform": log_uniform, "measured": measured}


def drawn(distribution: Distribution, num: int, key: int = 17, start: int = 0) -> Any:
    """Returns independent draws by the random numbers and the table of `core`, in NumPy."""
    table, blocks = inverse_table(distribution), []
    for position, first in enumerate(range(0, num, _BLOCK), start):
        uniforms = random_uniforms(key, position, min(_BLOCK, num - first))
        blocks.append(to_ranks(table, uniforms, behind=False))
    return np.concatenate(blocks)


def single_precision(distribution: Distribution) -> Any:
    """Returns the float32 cumulative sum that `torch.multinomial` searches."""
    cdf = np.cumsum(distribution.probs().astype(np.float32), dtype=np.float32)
    return cdf / cdf[-1]


def bands_of_single_precision(cdf: Any, edges: Any) -> Any:
    """Returns the probabilities of the bands by a search in that sum."""
    return np.diff(np.append(np.float32(0.0), cdf)[edges].astype(np.float64))


def drawn_by_single_precision(cdf: Any, num: int, rng: np.random.Generator) -> Any:
    """Returns draws by that sum, in ascending order, which makes the search fast."""
    return np.searchsorted(cdf, np.sort(rng.random(num)), side="right")


def statistic(counts: Any, probs: Any) -> float:
    """Computes Pearson's statistic against probabilities that sum to 1."""
    expected = probs * counts.sum()
    return float(((counts - expected) ** 2 / expected).sum())


def power(num: int, tail: Tail, wrong: Any) -> float:
    """A lower bound of the probability that `follows` refuses draws whose bands are `wrong`.

    Cantelli: a variable is below its mean less t with a probability of at most v / (v + t^2).
    """
    mean, variance = moments(num, tail.probs, wrong)
    distance = mean - tail.limit
    return distance**2 / (variance + distance**2) if distance > 0 else 0.0


def moments(num: int, probs: Any, wrong: Any) -> Tuple[float, float]:
    """Exact mean and variance of `statistic`, whose counts are multinomial by `wrong`.

    The statistic is the sum of `c N^2` less `num`, with `c = 1 / (num probs)`; factorial moments of
    a multinomial are products.
    """
    c, q = 1.0 / (num * probs), np.asarray(wrong, np.float64)
    n2 = float(num) * (num - 1)
    n3 = n2 * (num - 2)
    n4 = n3 * (num - 3)
    squares, firsts = float((c * q**2).sum()), float((c * q).sum())
    mean = n2 * squares + num * firsts
    own = float((c**2 * (4 * n3 * q**3 + 6 * n2 * q**2 + num * q)).sum())
    second = n4 * squares**2 + 2 * n3 * squares * firsts + n2 * firsts**2 + own
    return mean - num, second - mean**2


def includes_bands(batches: Any, edges: Any, expected: Any) -> bool:
    """Tests whether batches of distinct ranks hold each band as expected, with Bonferroni.

    Ranks of a batch are negatively associated and batches are independent, so Chernoff's bounds
    hold as for independent draws: `exp(-m h(x / m))` with `h(y) = y log y - y + 1`.
    """
    counts = np.histogram(np.asarray(batches).ravel(), np.append(edges[:-1], edges[-1] - 0.5))[0]
    ratio = counts / expected
    exponent = expected * (
        np.where(counts > 0, ratio * np.log(np.maximum(ratio, 1e-300)), 0.0) - ratio + 1.0
    )
    return bool((exponent <= np.log(2 * len(expected) / LEVEL)).all())
