"""Compares ExpectedCountsOnDevice with the exact integral and with double precision."""

import numpy as np
import pytest
import torch

from merlin_popsampler.core.distributions import Empirical, LogUniform, Uniform
from merlin_popsampler.core.expected_counts import build_expected_counts
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.torch.expected_counts import ExpectedCountsOnDevice
from merlin_popsampler.torch.inverse_cdf import Edges
from tests.support.expected_count_checks import SIZES, STEEP, TOLERANCE, exact, ks, steep, worst

DISTRIBUTIONS = {
    "log_uniform": LogUniform(10**6),
    "uniform": Uniform(10**6),
    "empirical": Empirical(
        PopularityCurve.from_counts(np.sort(np.random.default_rng(3).zipf(1.4, 9000))[::-1])
    ),
}


def with_counts(distribution, num_sampled, unique, ranks):
    """Returns the expected counts of a module."""
    table = build_expected_counts(distribution, num_sampled, unique)
    return ExpectedCountsOnDevice(table, Edges(distribution.segments))(
        torch.as_tensor(ranks)
    ).numpy()


def shipped(distribution, num_sampled, ranks):
    expected_counts = with_counts(distribution, num_sampled, True, ranks)
    assert expected_counts.dtype == np.float32
    return expected_counts


@pytest.mark.parametrize("name", [6, 30])
def test_the_exact_integral_id_by_id_every_k(name):
    distribution, expected = exact(name)
    for num_sampled in range(1, distribution.size + 1):
        expected_counts = shipped(distribution, num_sampled, np.arange(distribution.size))
        assert worst(expected_counts, expected[num_sampled - 1]) < TOLERANCE, num_sampled
        if 1 < num_sampled < distribution.size:  # the check has power
            reference = 1 - (1 - distribution.probs()) ** num_sampled
            assert worst(reference, expected[num_sampled - 1]) > 100 * TOLERANCE


@pytest.mark.parametrize("name", STEEP)
def test_expected_counts_of_the_rarest_ids_are_as_exact(name):
    distribution, exact_expected_counts = steep(name)
    for num_sampled in {2, 3, distribution.size // 2, distribution.size - 1, distribution.size}:
        expected_counts = shipped(distribution, num_sampled, np.arange(distribution.size))
        assert worst(expected_counts, exact_expected_counts(num_sampled)) < TOLERANCE, num_sampled
        assert (expected_counts > 0).all() and (expected_counts <= 1).all()


@pytest.mark.parametrize("shape", [(), (1,), (0, 2), (2, 3)])
@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_the_result_has_the_shape_of_the_ranks(name, shape):
    assert with_counts(DISTRIBUTIONS[name], 5, True, np.zeros(shape, np.int64)).shape == shape


def test_the_smallest_expected_counts_are_not_zero():
    """Some devices flush denormals to zero."""
    distribution = Empirical(PopularityCurve.from_counts([10, 1]), 36.999)
    least = float(distribution.prob(1))
    assert 1e-37 < least < 1.1e-37
    for unique, num_sampled in ((True, 1), (False, 1), (False, 3)):
        found = with_counts(distribution, num_sampled, unique, [0, 1])
        assert worst(found, [num_sampled, num_sampled * least]) < 1e-6
        assert np.isfinite(np.log(found)).all()


@pytest.mark.parametrize("size", [10, 1000, 10**6])
def test_expected_counts_sum_to_k(size):
    for num_sampled in ks(size):
        expected_counts = shipped(LogUniform(size), num_sampled, np.arange(size))
        assert expected_counts.sum(dtype=np.float64) == pytest.approx(num_sampled, rel=TOLERANCE)


@pytest.mark.parametrize("size", SIZES)
def test_single_precision_follows_double_everywhere(size):
    distribution, ranks = (
        LogUniform(size),
        np.unique(np.geomspace(1, size, 20_000).astype(np.int64) - 1),
    )
    for num_sampled in ks(size):
        expected = build_expected_counts(distribution, num_sampled, unique=True).expected_count(
            ranks
        )
        expected_counts = shipped(distribution, num_sampled, ranks)
        assert worst(expected_counts, expected) < 5e-7
        assert expected_counts.max() <= 1.0


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("num_sampled", [1, 100, 5000])
def test_expected_counts_against_the_reference_in_double_precision(name, unique, num_sampled, rng):
    distribution = DISTRIBUTIONS[name]
    table = build_expected_counts(distribution, num_sampled, unique)
    ranks = np.concatenate(
        [np.arange(1000), rng.integers(0, distribution.size, 1000), [distribution.size - 1]]
    )
    ranks = np.minimum(ranks, distribution.size - 1)
    expected_counts = with_counts(distribution, num_sampled, unique, ranks)
    assert worst(expected_counts, table.expected_count(ranks)) < 5e-7


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_one_draw_has_the_probabilities_of_the_distribution(name, rng):
    distribution = DISTRIBUTIONS[name]
    ranks = np.append(rng.integers(0, distribution.size, 3000), [0, distribution.size - 1])
    for unique in (True, False):
        probs = with_counts(distribution, 1, unique, ranks)
        assert worst(probs, distribution.prob(ranks)) < 1e-6


@pytest.mark.parametrize("size", [10**8, 10**9])
def test_expected_counts_of_huge_catalogs(size, rng):
    distribution = LogUniform(size)
    ranks = np.unique(np.exp(rng.random(20_000) * np.log(size)).astype(np.int64))
    for num_sampled in (100, 100_000):
        table = build_expected_counts(distribution, num_sampled, unique=True)
        expected_counts = with_counts(distribution, num_sampled, True, ranks)
        assert np.isfinite(expected_counts).all() and (expected_counts > 0).all()
        assert worst(expected_counts, table.expected_count(ranks)) < 5e-7


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("unique", [True, False])
def test_expected_counts_outside_the_range_are_one(name, unique):
    distribution = DISTRIBUTIONS[name]
    for num_sampled in (1, 50, distribution.size):
        outside = with_counts(
            distribution, num_sampled, unique, [[-1, distribution.size], [-(2**40), 2**40]]
        )
        assert outside.tolist() == [[1.0, 1.0], [1.0, 1.0]]
