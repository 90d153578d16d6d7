"""Prices on a device against the exact integral, and against double precision."""

import numpy as np
import pytest
import tensorflow as tf

from merlin_popsampler.core.laws import Empirical, LogUniform, Uniform
from merlin_popsampler.core.prices import price_table
from merlin_popsampler.core.steps import Steps
from merlin_popsampler.tf.prices import expected_count
from tests.support.oracles import CLIFFS, integral_inclusion, integral_of_one, log_uniform_probs
from tests.support.price_checks import SIZES, STEEP, TOLERANCE, exact, ks, steep, worst

LAWS = {
    "log_uniform": LogUniform(10**6),
    "uniform": Uniform(10**6),
    "empirical": Empirical(
        Steps.from_counts(np.sort(np.random.default_rng(3).zipf(1.4, 9000))[::-1])
    ),
}


def shipped(law, num_sampled, ranks):
    """Prices as a layer gives them."""
    prices = expected_count(price_table(law, num_sampled, unique=True), ranks).numpy()
    assert prices.dtype == np.float32
    return prices


@pytest.mark.parametrize("name", [6, 30, 100, *CLIFFS])
def test_the_exact_integral_id_by_id_every_k(name):
    law, expected = exact(name)
    for num_sampled in range(1, law.size + 1):
        prices = shipped(law, num_sampled, np.arange(law.size))
        assert worst(prices, expected[num_sampled - 1]) < TOLERANCE, num_sampled


def test_the_exact_integral_id_by_id_at_300():
    """Beyond the head, and where the count goes by its cumulants."""
    law, expected = exact(300)
    for num_sampled in [2, 20, 40, 65, 100, 150, 220, 270, 299, 300]:
        prices = shipped(law, num_sampled, np.arange(300))
        assert worst(prices, expected[num_sampled - 1]) < TOLERANCE


@pytest.mark.parametrize("name", STEEP)
def test_the_rarest_ids_are_priced_as_exactly_as_the_others(name):
    law, exact_prices = steep(name)
    for num_sampled in {2, 3, law.size // 2, law.size - 1, law.size}:
        prices = shipped(law, num_sampled, np.arange(law.size))
        assert worst(prices, exact_prices(num_sampled)) < TOLERANCE, num_sampled
        assert (prices > 0).all() and (prices <= 1).all()


@pytest.mark.parametrize("compiled", [False, True])
def test_the_smallest_prices_are_no_zeros(compiled):
    """Denormals would be, on devices that flush them."""
    law = Empirical(Steps.from_counts([10, 1]), 36.999)
    least = float(law.prob(1))
    assert 1e-37 < least < 1.1e-37
    for unique, num_sampled in ((True, 1), (False, 1), (False, 3)):
        table = price_table(law, num_sampled, unique)
        price = tf.function(lambda ranks, t=table: expected_count(t, ranks), jit_compile=compiled)
        found = price(tf.constant([0, 1])).numpy()
        assert worst(found, [num_sampled, num_sampled * least]) < 1e-6
        assert np.isfinite(tf.math.log(found)).all()


@pytest.mark.parametrize("num_sampled", [2, 11, 110, 400, 1998])
def test_the_exact_integral_at_2000(num_sampled):
    ranks = np.array([0, 95, 96, 1999])
    expected = [integral_of_one(log_uniform_probs(2000), rank, num_sampled) for rank in ranks]
    assert worst(shipped(LogUniform(2000), num_sampled, ranks), expected) < TOLERANCE


@pytest.mark.parametrize("size", [10, 1000, 10**6])
def test_prices_sum_to_k(size):
    for num_sampled in ks(size):
        prices = shipped(LogUniform(size), num_sampled, np.arange(size))
        assert prices.sum(dtype=np.float64) == pytest.approx(num_sampled, rel=TOLERANCE)


@pytest.mark.parametrize("size", SIZES)
def test_single_precision_follows_double_everywhere(size):
    law, ranks = LogUniform(size), np.unique(np.geomspace(1, size, 20_000).astype(np.int64) - 1)
    for num_sampled in ks(size):
        expected = price_table(law, num_sampled, unique=True).expected_count(ranks)
        assert worst(shipped(law, num_sampled, ranks), expected) < 0.8 * TOLERANCE


def test_the_reference_formula_is_refused():
    """The check has power: `1 - (1 - p)^K` is off by far more."""
    probs = log_uniform_probs(300)
    assert worst(1 - (1 - probs) ** 100, integral_inclusion(probs)[99]) > 1e-2


@pytest.mark.parametrize("name", sorted(LAWS))
@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("num_sampled", [1, 100, 5000])
def test_prices_against_the_reference_in_double_precision(name, unique, num_sampled, rng):
    law = LAWS[name]
    table = price_table(law, num_sampled, unique)
    ranks = np.concatenate([np.arange(1000), rng.integers(0, law.size, 1000), [law.size - 1]])
    ranks = np.minimum(ranks, law.size - 1)
    prices = expected_count(table, ranks).numpy()
    assert worst(prices, table.expected_count(ranks)) < 1e-5


@pytest.mark.parametrize("name", sorted(LAWS))
def test_one_draw_is_priced_by_the_law_s_own_formula(name, rng):
    law = LAWS[name]
    ranks = np.append(rng.integers(0, law.size, 3000), [0, law.size - 1])
    for unique in (True, False):
        probs = expected_count(price_table(law, 1, unique), ranks).numpy()
        assert worst(probs, law.prob(ranks)) < 1e-6


@pytest.mark.parametrize("size", [10**8, 10**9])
def test_prices_of_huge_catalogs(size, rng):
    law = LogUniform(size)
    ranks = np.unique(np.exp(rng.random(20_000) * np.log(size)).astype(np.int64))
    for num_sampled in (100, 100_000):
        table = price_table(law, num_sampled, unique=True)
        prices = expected_count(table, ranks).numpy()
        assert np.isfinite(prices).all() and (prices > 0).all()
        assert worst(prices, table.expected_count(ranks)) < 1e-5


@pytest.mark.parametrize("name", sorted(LAWS))
@pytest.mark.parametrize("unique", [True, False])
def test_ids_outside_are_priced_one(name, unique):
    law = LAWS[name]
    for num_sampled in (1, 50, law.size):
        table = price_table(law, num_sampled, unique)
        outside = expected_count(table, [[-1, law.size], [-(2**40), 2**40]])
        assert outside.numpy().tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_no_gradient_flows_through_a_price():
    table = price_table(LAWS["log_uniform"], 10, unique=True)
    with tf.GradientTape() as tape:
        weight = tf.Variable(2.0)
        tape.watch(weight)
        loss = weight * tf.reduce_sum(expected_count(table, [1, 2]))
    assert tape.gradient(loss, weight).numpy() == pytest.approx(loss.numpy() / 2)
