"""Compares expected_count with the exact integral, and with double precision."""

import numpy as np
import pytest
import tensorflow as tf

from merlin_popsampler.core.distributions import Empirical, LogUniform, Uniform
from merlin_popsampler.core.expected_counts import build_expected_counts
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.tf.expected_counts import expected_count
from tests.support.expected_count_checks import (
    SIZES,
    STEEP,
    TOLERANCE,
    exact,
    ks,
    steep,
    thinned,
    worst,
)
from tests.support.oracles import CLIFFS, log_uniform_probs

DISTRIBUTIONS = {
    "log_uniform": LogUniform(10**6),
    "uniform": Uniform(10**6),
    "empirical": Empirical(
        PopularityCurve.from_counts(np.sort(np.random.default_rng(3).zipf(1.4, 9000))[::-1])
    ),
}


def shipped(distribution, num_sampled, ranks):
    """Returns the expected counts that a layer gives."""
    expected_counts = expected_count(
        build_expected_counts(distribution, num_sampled, unique=True), ranks
    ).numpy()
    assert expected_counts.dtype == np.float32
    return expected_counts


@pytest.mark.parametrize("name", [6, 30, 100, *CLIFFS])
def test_the_exact_integral_id_by_id(name):
    distribution, expected = exact(name)
    for num_sampled in thinned(distribution.size):
        expected_counts = shipped(distribution, num_sampled, np.arange(distribution.size))
        assert worst(expected_counts, expected[num_sampled - 1]) < TOLERANCE, num_sampled


def test_the_exact_integral_id_by_id_at_300():
    """Beyond the head, and where the count goes by its cumulants."""
    distribution, expected = exact(300)
    for num_sampled in [2, 20, 40, 65, 100, 150, 220, 270, 299, 300]:
        expected_counts = shipped(distribution, num_sampled, np.arange(300))
        assert worst(expected_counts, expected[num_sampled - 1]) < TOLERANCE


@pytest.mark.parametrize("name", STEEP)
def test_the_rarest_ids_are_priced_as_exactly_as_the_others(name):
    distribution, exact_expected_counts = steep(name)
    for num_sampled in {2, 3, distribution.size // 2, distribution.size - 1, distribution.size}:
        expected_counts = shipped(distribution, num_sampled, np.arange(distribution.size))
        assert worst(expected_counts, exact_expected_counts(num_sampled)) < TOLERANCE, num_sampled
        assert (expected_counts > 0).all() and (expected_counts <= 1).all()


@pytest.mark.parametrize("compiled", [False, True])
def test_the_smallest_expected_counts_are_no_zeros(compiled):
    """Denormals would be, on devices that flush them."""
    distribution = Empirical(PopularityCurve.from_counts([10, 1]), 36.999)
    least = float(distribution.prob(1))
    assert 1e-37 < least < 1.1e-37
    for unique, num_sampled in ((True, 1), (False, 1), (False, 3)):
        table = build_expected_counts(distribution, num_sampled, unique)
        look_up = tf.function(lambda ranks, t=table: expected_count(t, ranks), jit_compile=compiled)
        found = look_up(tf.constant([0, 1])).numpy()
        assert worst(found, [num_sampled, num_sampled * least]) < 1e-6
        assert np.isfinite(tf.math.log(found)).all()


@pytest.mark.parametrize("num_sampled", [2, 11, 110, 400, 1998])
def test_double_precision_at_2000(num_sampled):
    """Compares with float64, for which tests/core has a test of this size with exact values."""
    distribution, ranks = LogUniform(2000), np.arange(2000)
    expected = build_expected_counts(distribution, num_sampled, unique=True).expected_count(ranks)
    assert worst(shipped(distribution, num_sampled, ranks), expected) < 5e-7


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
        assert worst(shipped(distribution, num_sampled, ranks), expected) < 5e-7


def test_the_reference_formula_is_refused():
    """The check has power: `1 - (1 - p)^K` is off by far more."""
    _, expected = exact(300)
    assert worst(1 - (1 - log_uniform_probs(300)) ** 100, expected[99]) > 1e-2


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
    expected_counts = expected_count(table, ranks).numpy()
    assert worst(expected_counts, table.expected_count(ranks)) < 5e-7


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_one_draw_is_priced_by_the_distribution_s_own_formula(name, rng):
    distribution = DISTRIBUTIONS[name]
    ranks = np.append(rng.integers(0, distribution.size, 3000), [0, distribution.size - 1])
    for unique in (True, False):
        probs = expected_count(build_expected_counts(distribution, 1, unique), ranks).numpy()
        assert worst(probs, distribution.prob(ranks)) < 1e-6


@pytest.mark.parametrize("size", [10**8, 10**9])
def test_expected_counts_of_huge_catalogs(size, rng):
    distribution = LogUniform(size)
    ranks = np.unique(np.exp(rng.random(20_000) * np.log(size)).astype(np.int64))
    for num_sampled in (100, 100_000):
        table = build_expected_counts(distribution, num_sampled, unique=True)
        expected_counts = expected_count(table, ranks).numpy()
        assert np.isfinite(expected_counts).all() and (expected_counts > 0).all()
        assert worst(expected_counts, table.expected_count(ranks)) < 5e-7


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
@pytest.mark.parametrize("unique", [True, False])
def test_ids_outside_are_priced_one(name, unique):
    distribution = DISTRIBUTIONS[name]
    for num_sampled in (1, 50, distribution.size):
        table = build_expected_counts(distribution, num_sampled, unique)
        outside = expected_count(table, [[-1, distribution.size], [-(2**40), 2**40]])
        assert outside.numpy().tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_no_gradient_flows_through_a_expected_count():
    table = build_expected_counts(DISTRIBUTIONS["log_uniform"], 10, unique=True)
    with tf.GradientTape() as tape:
        weight = tf.Variable(2.0)
        tape.watch(weight)
        loss = weight * tf.reduce_sum(expected_count(table, [1, 2]))
    assert tape.gradient(loss, weight).numpy() == pytest.approx(loss.numpy() / 2)
