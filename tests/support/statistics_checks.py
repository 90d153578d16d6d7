"""Statistical checks, and wrong samplers that they must refuse.

Every check has a false-alarm rate of at most `LEVEL`; its power is shown by the wrong samplers.
"""

from typing import Any, Callable, Dict

import numpy as np
from scipy import stats

LEVEL = 1e-6


def follows(ranks: Any, probs: Any) -> bool:
    """Tests independent draws by chi-square; tail cells are pooled to 10 expected draws."""
    ranks, probs = np.asarray(ranks).ravel(), np.asarray(probs, np.float64)
    if ranks.min() < 0 or ranks.max() >= len(probs):
        return False
    expected = probs * len(ranks)
    edges = [0]
    total = 0.0
    for cell, value in enumerate(expected):
        total += value
        if total >= 10.0:
            edges.append(cell + 1)
            total = 0.0
    edges[-1] = len(probs)
    counted = np.add.reduceat(np.bincount(ranks, minlength=len(probs)), edges[:-1])
    pooled = np.add.reduceat(expected, edges[:-1])
    pvalue = stats.chisquare(counted, pooled * counted.sum() / pooled.sum()).pvalue
    return bool(np.isfinite(pvalue) and pvalue > LEVEL)


def includes(batches: Any, inclusion: Any) -> bool:
    """Tests every rank of independent batches of unique draws by binomials, with Bonferroni."""
    batches, inclusion = np.asarray(batches), np.asarray(inclusion, np.float64)
    if batches.min() < 0 or batches.max() >= len(inclusion):
        return False
    if any(len(set(batch)) < len(batch) for batch in batches.tolist()):
        return False
    counts = np.bincount(batches.ravel(), minlength=len(inclusion))
    for count, chance in zip(counts, np.clip(inclusion, 0.0, 1.0)):
        tail = min(
            stats.binom.cdf(count, len(batches), chance),
            stats.binom.sf(count - 1, len(batches), chance),
        )
        if 2 * tail < LEVEL / len(inclusion):
            return False
    return True


def covers_octaves(ranks: Any, size: int) -> bool:
    """Tests whether log-uniform draws fill each octave of ranks, evenly inside the last.

    The last octave is cut into 64 equal segments, so that gaps of a coarse uniform show.
    """
    ranks = np.asarray(ranks, np.float64)
    tops = np.append(2.0 ** np.arange(np.floor(np.log2(size)) + 1) - 1, size)
    segments = np.linspace(tops[-2], size, 65).round()
    edges = np.unique(np.concatenate([tops, segments]))
    probs = np.log((edges[1:] + 1) / (edges[:-1] + 1)) / np.log(size + 1.0)
    if ranks.min() < 0 or ranks.max() >= size:
        return False
    return follows(np.searchsorted(edges, ranks, side="right") - 1, probs)


def reaches_odd_and_even(ranks: Any, above: int) -> bool:
    """Tests whether ranks above a bound are odd as often as even: coarse uniforms leave gaps."""
    tail = np.asarray(ranks)
    tail = tail[tail >= above]
    odd = int((tail % 2).sum())
    below, above_ = stats.binom.cdf(odd, len(tail), 0.5), stats.binom.sf(odd - 1, len(tail), 0.5)
    return bool(2 * min(below, above_) > LEVEL)


def collides_seldom(ranks: Any, above: int, size: int) -> bool:
    """Tests whether log-uniform draws above a bound are equal as rarely as expected.

    Pairs of equal draws among n: Poisson of mean n^2 / 2 times the sum of squared probabilities
    `1 / (rank log(size / above))`. A grid of coarse uniforms has far fewer places to fall on.
    """
    tail = np.asarray(ranks)
    tail = tail[tail >= above]
    _, counts = np.unique(tail, return_counts=True)
    pairs = int((counts * (counts - 1) // 2).sum())
    squares = (1.0 / above - 1.0 / size) / np.log(size / above) ** 2
    return bool(stats.poisson.sf(pairs - 1, len(tail) ** 2 / 2 * squares) > LEVEL)


def log_uniform(size: int) -> Any:
    return np.log1p(1.0 / np.arange(1.0, size + 1.0)) / np.log1p(size)


WRONG_DISTRIBUTIONS: Dict[str, Callable[[int], Any]] = {
    "uniform": lambda size: np.full(size, 1.0 / size),
    "one over rank": lambda size: (
        (1 / np.arange(1.0, size + 1)) / np.sum(1 / np.arange(1.0, size + 1))
    ),
    "shifted by one": lambda size: (
        np.append(0.0, log_uniform(size)[:-1]) / log_uniform(size)[:-1].sum()
    ),
    "last never drawn": lambda size: np.append(log_uniform(size - 1), 0.0),
    "one too many": lambda size: log_uniform(size + 1),
}


def draw(probs: Any, num: int, rng: np.random.Generator) -> Any:
    return rng.choice(len(probs), num, p=probs)


def first_distinct(probs: Any, num_sampled: int, batches: int, rng: np.random.Generator) -> Any:
    """Returns unique draws by arrival times, `[batches, num_sampled]`, in order of arrival."""
    with np.errstate(divide="ignore"):
        times = rng.exponential(size=(batches, len(probs))) / np.asarray(probs)
    return np.argsort(times, axis=1)[:, :num_sampled]


def first_sorted(probs: Any, num_sampled: int, batches: int, rng: np.random.Generator) -> Any:
    """Returns wrong draws: the smallest distinct ids instead of the earliest."""
    rows = []
    while len(rows) < batches:
        distinct = np.unique(rng.choice(len(probs), 3 * num_sampled, p=probs))
        if len(distinct) >= num_sampled:
            rows.append(distinct[:num_sampled])
    return np.array(rows)
