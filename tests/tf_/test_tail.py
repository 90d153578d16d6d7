"""The tail of huge catalogs in TensorFlow: the draws of tests/core/test_tail.py, and distinct ones.

Eager draws and compiled ones are those of NumPy, number by number, on the same seed.
"""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from merlin_popsampler.core.expected_counts import build_expected_counts
from tests.support.draws import draw_ranks
from tests.support.tails import (
    FEWEST,
    TAILS,
    drawn,
    drawn_by_single_precision,
    includes_bands,
    single_precision,
)

SIZES = (10**6, 10**7, 10**8, 10**9)
NUM_SAMPLED = 20_000
BATCHES = 60


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", TAILS)
def test_draws_are_those_of_numpy_eager_and_compiled(name, size):
    distribution, num = TAILS[name](size).distribution, 2**17
    expected = drawn(distribution, num, key=23, start=4)

    def draw(position):
        return draw_ranks(distribution, 23, position, num, unique=False)

    np.testing.assert_array_equal(draw(4), expected)
    compiled = tf.function(draw, jit_compile=True)
    np.testing.assert_array_equal(compiled(tf.constant(4, tf.int64)), expected)


@pytest.mark.parametrize("name", TAILS)
def test_distinct_draws_compile_to_themselves(name):
    distribution = TAILS[name](10**9).distribution

    def draw(position):
        return draw_ranks(distribution, 23, position, 2000)

    compiled = tf.function(draw, jit_compile=True)
    np.testing.assert_array_equal(compiled(tf.constant(4, tf.int64)), draw(4))


@pytest.mark.parametrize(
    ("name", "size"), [("log_uniform", 10**6), *(("measured", size) for size in SIZES)]
)
def test_distinct_draws_reach_every_band(name, size):
    """Compares counts in bands with exact inclusion probabilities, summed rank by rank."""
    tail = TAILS[name](size)
    edges, expected = bands_of_batches(tail)
    batches = [
        draw_ranks(tail.distribution, 29, place, NUM_SAMPLED).numpy() for place in range(BATCHES)
    ]
    assert all(len(np.unique(batch)) == NUM_SAMPLED for batch in batches)
    assert includes_bands(batches, edges, expected)


@pytest.mark.parametrize(("name", "size"), [("log_uniform", 10**6), ("measured", 10**7)])
def test_distinct_draws_of_single_precision_are_refused(name, size, rng):
    tail = TAILS[name](size)
    cdf = single_precision(tail.distribution)
    batches = []
    for _ in range(BATCHES):
        ranks = rng.permutation(drawn_by_single_precision(cdf, 5 * NUM_SAMPLED, rng))
        _, first = np.unique(ranks, return_index=True)
        assert len(first) >= NUM_SAMPLED
        batches.append(ranks[np.sort(first)[:NUM_SAMPLED]])
    assert not includes_bands(batches, *bands_of_batches(tail))


def bands_of_batches(tail):
    """Edges of bands that expect `FEWEST` ranks of all batches or more, and what they expect."""
    table = build_expected_counts(tail.distribution, NUM_SAMPLED, unique=True)
    starts = (
        tail.distribution.segments.starts
        if tail.distribution.segments.shift is None
        else np.arange(tail.distribution.size)
    )
    cuts = np.unique(np.concatenate([starts, tail.edges]))
    each = BATCHES * table.expected_count(cuts[:-1]) * np.diff(cuts)
    before = np.concatenate([[0.0], np.cumsum(each)])
    edges = [0]
    for edge, total in zip(tail.edges[1:], before[np.searchsorted(cuts, tail.edges[1:])]):
        if total - before[np.searchsorted(cuts, edges[-1])] >= FEWEST:
            edges.append(edge)
    edges[-1] = tail.distribution.size
    assert before[-1] == pytest.approx(BATCHES * NUM_SAMPLED, rel=1e-4)
    return np.array(edges), np.diff(before[np.searchsorted(cuts, edges)])
