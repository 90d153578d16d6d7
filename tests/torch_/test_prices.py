"""Prices on a device against the exact integral, and against double precision."""

import numpy as np
import pytest
import torch

from merlin_popsampler.core.laws import Empirical, LogUniform, Uniform
from merlin_popsampler.core.prices import price_table
from merlin_popsampler.core.steps import Steps
from merlin_popsampler.torch.inverse import Edges
from merlin_popsampler.torch.prices import Prices
from tests.support.price_checks import SIZES, STEEP, TOLERANCE, exact, ks, steep, worst

LAWS = {
    "log_uniform": LogUniform(10**6),
    "uniform": Uniform(10**6),
    "empirical": Empirical(
        Steps.from_counts(np.sort(np.random.default_rng(3).zipf(1.4, 9000))[::-1])
    ),
}


def priced(law, num_sampled, unique, ranks):
    """Prices as a module gives them."""
    table = price_table(law, num_sampled, unique)
    return Prices(table, Edges(law.pieces))(torch.as_tensor(ranks)).numpy()


def shipped(law, num_sampled, ranks):
    prices = priced(law, num_sampled, True, ranks)
    assert prices.dtype == np.float32
    return prices


@pytest.mark.parametrize("name", [6, 30])
def test_the_exact_integral_id_by_id_every_k(name):
    law, expected = exact(name)
    for num_sampled in range(1, law.size + 1):
        prices = shipped(law, num_sampled, np.arange(law.size))
        assert worst(prices, expected[num_sampled - 1]) < TOLERANCE, num_sampled
        if 1 < num_sampled < law.size:  # the check has power
            reference = 1 - (1 - law.probs()) ** num_sampled
            assert worst(reference, expected[num_sampled - 1]) > 100 * TOLERANCE


@pytest.mark.parametrize("name", STEEP)
def test_the_rarest_ids_are_priced_as_exactly_as_the_others(name):
    law, exact_prices = steep(name)
    for num_sampled in {2, 3, law.size // 2, law.size - 1, law.size}:
        prices = shipped(law, num_sampled, np.arange(law.size))
        assert worst(prices, exact_prices(num_sampled)) < TOLERANCE, num_sampled
        assert (prices > 0).all() and (prices <= 1).all()


def test_the_smallest_prices_are_no_zeros():
    """Denormals would be, on devices that flush them."""
    law = Empirical(Steps.from_counts([10, 1]), 36.999)
    least = float(law.prob(1))
    assert 1e-37 < least < 1.1e-37
    for unique, num_sampled in ((True, 1), (False, 1), (False, 3)):
        found = priced(law, num_sampled, unique, [0, 1])
        assert worst(found, [num_sampled, num_sampled * least]) < 1e-6
        assert np.isfinite(np.log(found)).all()


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
        prices = shipped(law, num_sampled, ranks)
        assert worst(prices, expected) < 0.8 * TOLERANCE
        assert prices.max() <= 1.0


@pytest.mark.parametrize("name", sorted(LAWS))
@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("num_sampled", [1, 100, 5000])
def test_prices_against_the_reference_in_double_precision(name, unique, num_sampled, rng):
    law = LAWS[name]
    table = price_table(law, num_sampled, unique)
    ranks = np.concatenate([np.arange(1000), rng.integers(0, law.size, 1000), [law.size - 1]])
    ranks = np.minimum(ranks, law.size - 1)
    prices = priced(law, num_sampled, unique, ranks)
    assert worst(prices, table.expected_count(ranks)) < 1e-5


@pytest.mark.parametrize("name", sorted(LAWS))
def test_one_draw_is_priced_by_the_law_s_own_formula(name, rng):
    law = LAWS[name]
    ranks = np.append(rng.integers(0, law.size, 3000), [0, law.size - 1])
    for unique in (True, False):
        probs = priced(law, 1, unique, ranks)
        assert worst(probs, law.prob(ranks)) < 1e-6


@pytest.mark.parametrize("size", [10**8, 10**9])
def test_prices_of_huge_catalogs(size, rng):
    law = LogUniform(size)
    ranks = np.unique(np.exp(rng.random(20_000) * np.log(size)).astype(np.int64))
    for num_sampled in (100, 100_000):
        table = price_table(law, num_sampled, unique=True)
        prices = priced(law, num_sampled, True, ranks)
        assert np.isfinite(prices).all() and (prices > 0).all()
        assert worst(prices, table.expected_count(ranks)) < 1e-5


@pytest.mark.parametrize("name", sorted(LAWS))
@pytest.mark.parametrize("unique", [True, False])
def test_ids_outside_are_priced_one(name, unique):
    law = LAWS[name]
    for num_sampled in (1, 50, law.size):
        outside = priced(law, num_sampled, unique, [[-1, law.size], [-(2**40), 2**40]])
        assert outside.tolist() == [[1.0, 1.0], [1.0, 1.0]]
