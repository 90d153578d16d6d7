"""Prices on a device against the exact integral, and against double precision."""

import numpy as np
import pytest
import tensorflow as tf

from merlin_popsampler.core.laws import Empirical, LogUniform, Uniform
from merlin_popsampler.core.prices import price_table
from merlin_popsampler.core.steps import Steps
from merlin_popsampler.tf.prices import expected_count, prob
from tests.support.oracles import CLIFFS, integral_inclusion, log_uniform_probs

LAWS = {
    "log_uniform": LogUniform(10**6),
    "uniform": Uniform(10**6),
    "empirical": Empirical(
        Steps.from_counts(np.sort(np.random.default_rng(3).zipf(1.4, 9000))[::-1])
    ),
}


def worst(found, expected):
    return float(np.max(np.abs(np.asarray(found, np.float64) / expected - 1)))


@pytest.mark.parametrize("size", [6, 30, 300])
def test_prices_against_the_exact_integral(size):
    law, exact = LogUniform(size), integral_inclusion(log_uniform_probs(size))
    for num_sampled in sorted({1, 2, 3, size // 3, size - 1, size}):
        table = price_table(law, num_sampled, unique=True)
        prices = expected_count(law, table, np.arange(size)).numpy()
        assert prices.dtype == np.float32 and worst(prices, exact[num_sampled - 1]) < 1e-5


@pytest.mark.parametrize("name", sorted(CLIFFS))
def test_prices_on_cliffs(name):
    counts = np.array(CLIFFS[name])
    law, exact = Empirical(Steps.from_counts(counts)), integral_inclusion(counts / counts.sum())
    for num_sampled in (2, 4, 10, 100):
        table = price_table(law, num_sampled, unique=True)
        prices = expected_count(law, table, np.arange(law.size)).numpy()
        assert worst(prices, exact[num_sampled - 1]) < 1e-5


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
    prices = expected_count(law, table, ranks).numpy()
    assert worst(prices, table.expected_count(ranks)) < 1e-5
    probs = prob(law, ranks).numpy()
    assert probs.dtype == np.float32 and worst(probs, law.prob(ranks)) < 1e-6


@pytest.mark.parametrize("size", [10**8, 10**9])
def test_prices_of_huge_catalogs(size, rng):
    law = LogUniform(size)
    ranks = np.unique(np.exp(rng.random(20_000) * np.log(size)).astype(np.int64))
    for num_sampled in (100, 100_000):
        table = price_table(law, num_sampled, unique=True)
        prices = expected_count(law, table, ranks).numpy()
        assert np.isfinite(prices).all() and (prices > 0).all()
        assert worst(prices, table.expected_count(ranks)) < 1e-5


@pytest.mark.parametrize("name", sorted(LAWS))
@pytest.mark.parametrize("unique", [True, False])
def test_ids_outside_are_priced_one(name, unique):
    law = LAWS[name]
    for num_sampled in (1, 50, law.size):
        table = price_table(law, num_sampled, unique)
        outside = expected_count(law, table, [[-1, law.size], [-(2**40), 2**40]])
        assert outside.numpy().tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert prob(law, [-1, law.size]).numpy().tolist() == [0.0, 0.0]


def test_no_gradient_flows_through_a_price():
    table = price_table(LAWS["log_uniform"], 10, unique=True)
    with tf.GradientTape() as tape:
        weight = tf.Variable(2.0)
        tape.watch(weight)
        loss = weight * tf.reduce_sum(expected_count(table.law, table, [1, 2]))
    assert tape.gradient(loss, weight).numpy() == pytest.approx(loss.numpy() / 2)
