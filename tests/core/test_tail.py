"""Tests that items of huge catalogs are drawn by their probability, down to the rarest.

`torch.multinomial` 2.15, whose cumulative probabilities are float32, never draws the rarer half of
ten million items. Draws of this package must follow their distribution in each of some 800 bands of
equal probability, up to a billion items. The test states its errors: it refuses right draws with a
probability of 1e-6, and a running sum in float32 with a probability of .999 or more.

tests/tf_/test_tail.py and tests/torch_/test_tail.py compare all other algorithms with these draws,
id by id.
"""

import numpy as np
import pytest

from tests.support.tails import (
    FEWEST,
    TAILS,
    bands_of_single_precision,
    drawn,
    drawn_by_single_precision,
    moments,
    power,
    single_precision,
    statistic,
)

DRAWS = {10**6: 4_000_000, 10**7: 2_200_000, 10**8: 2_200_000, 10**9: 2_200_000}


@pytest.mark.parametrize("size", DRAWS)
@pytest.mark.parametrize("name", TAILS)
def test_every_band_is_drawn_as_often_as_it_should_be(name, size):
    tail = TAILS[name](size)
    assert (tail.probs * DRAWS[size]).min() >= FEWEST
    assert tail.probs.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(np.diff(_before(tail)), tail.probs, rtol=1e-9)
    assert tail.follows(drawn(tail.distribution, DRAWS[size]))


@pytest.mark.parametrize("size", [10**6, 10**7])
@pytest.mark.parametrize("name", TAILS)
def test_a_running_sum_in_single_precision_is_refused(name, size, rng):
    """Negative control, with a bound of its power and with draws."""
    tail, num = TAILS[name](size), DRAWS[size]
    cdf = single_precision(tail.distribution)
    wrong = bands_of_single_precision(cdf, tail.edges)
    assert power(num, tail, wrong) > 0.999
    ranks = drawn_by_single_precision(cdf, num, rng)
    assert not tail.follows(ranks)
    mean, variance = moments(num, tail.probs, wrong)
    found = statistic(tail.counted(ranks)[:-2], tail.probs)
    assert abs(found - mean) < 6 * variance**0.5  # the bound is for the distribution that is drawn
    if size == 10**7:  # the fault in plain numbers: ranks that are expected and never drawn
        missing = np.flatnonzero(np.diff(cdf) == 0) + 1
        assert len(missing) > size / 3
        assert not np.isin(ranks, missing).any()
        assert tail.distribution.prob(missing).sum() * num > 100 * FEWEST


@pytest.mark.parametrize("name", TAILS)
def test_ranks_outside_of_the_catalog_are_refused(name):
    tail = TAILS[name](10**6)
    ranks = drawn(tail.distribution, DRAWS[10**6])
    for outside in (-1, 10**6):
        assert not tail.follows(np.append(ranks, outside))


def test_the_moments_are_those_of_the_statistic(rng):
    """Compares with a simulation of five unequal cells under wrong probabilities."""
    probs, wrong = np.array([0.4, 0.3, 0.15, 0.1, 0.05]), np.array([0.35, 0.3, 0.2, 0.15, 0.0])
    counts = rng.multinomial(200, wrong, size=200_000)
    found = ((counts - 200 * probs) ** 2 / (200 * probs)).sum(axis=1)
    mean, variance = moments(200, probs, wrong)
    assert found.mean() == pytest.approx(mean, rel=0.005)
    assert found.var() == pytest.approx(variance, rel=0.03)


def _before(tail):
    """Returns the probability of all ranks before each edge, from the segments."""
    segments, edges = tail.distribution.segments, tail.edges
    if segments.shift is not None:
        return np.log1p(edges / segments.shift) / segments.log_range
    return np.interp(edges, np.append(segments.starts, segments.size), segments.cdf)
