"""Expected counts: against brute force and an independent integral, id by id; K draws in sum.

A price is accepted within 1e-5 (relative) of the exact one for every id. The same check is shown to
reject the formulas that others use, and those of our own that are not good enough.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merlin_popsampler.core import prices
from merlin_popsampler.core.laws import Empirical, Law, LogUniform, Uniform
from merlin_popsampler.core.pieces import Pieces
from merlin_popsampler.core.prices import inclusion_probability, price_table
from merlin_popsampler.core.steps import Steps
from merlin_popsampler.errors import PopSamplerError
from tests.support.oracles import (
    CLIFFS,
    enumerate_inclusion,
    enumerate_sequences,
    inclusion_by_groups,
    integral_inclusion,
    integral_of_one,
    log_uniform_probs,
)
from tests.support.price_checks import (
    SIZES,
    STEEP,
    TOLERANCE,
    by_groups,
    exact,
    ks,
    steep,
    total,
    worst,
)


@pytest.mark.parametrize("size", [4, 5, 6])
def test_the_oracles_agree(size):
    probs = log_uniform_probs(size)
    by_integral = integral_inclusion(probs)
    for num_sampled in range(1, size + 1):
        by_sets = enumerate_inclusion(probs, num_sampled)
        by_sequences = np.zeros(size)
        for chosen, chance in enumerate_sequences(probs, num_sampled):
            by_sequences[list(chosen)] += chance
        assert worst(by_integral[num_sampled - 1], by_sets) < 1e-13
        assert worst(by_sequences, by_sets) < 1e-13
        ones = [integral_of_one(probs, i, num_sampled) for i in range(size)]
        assert worst(ones, by_sets) < 1e-9
        groups = inclusion_by_groups(probs, np.ones(size), num_sampled)
        assert worst(groups, by_sets) < 1e-13
        twins = inclusion_by_groups(probs[::2], [2] * len(probs[::2]), min(num_sampled, 4))
        pairs = np.repeat(probs[::2], 2) / 2 / probs[::2].sum()
        assert worst(np.repeat(twins, 2), enumerate_inclusion(pairs, min(num_sampled, 4))) < 1e-13


@pytest.mark.parametrize(
    "counts", [[1, 1, 1, 1], [9, 4, 4, 1], [500, 20, 3, 3, 1], [7, 5, 4, 2, 1, 1]]
)
def test_brute_force_every_k(counts):
    law = Empirical(Steps.from_counts(counts))
    for num_sampled in range(1, len(counts) + 1):
        expected = enumerate_inclusion(np.array(counts) / sum(counts), num_sampled)
        table = price_table(law, num_sampled, unique=True)
        assert worst(table.expected_count(np.arange(len(counts))), expected) < 1e-12
        assert worst(inclusion_probability(law, num_sampled, law.probs()), expected) < 1e-12


@pytest.mark.parametrize("size", [2, 3, 4, 6])
def test_brute_force_log_uniform(size):
    for num_sampled in range(1, size + 1):
        expected = enumerate_inclusion(log_uniform_probs(size), num_sampled)
        table = price_table(LogUniform(size), num_sampled, unique=True)
        assert worst(table.expected_count(np.arange(size)), expected) < 1e-12


@pytest.mark.parametrize("name", [6, 30, 100, *CLIFFS])
def test_the_exact_integral_id_by_id_every_k(name):
    law, expected = exact(name)
    ranks = np.arange(law.size)
    for num_sampled in range(1, law.size + 1):
        table = price_table(law, num_sampled, unique=True)
        row = expected[num_sampled - 1]
        assert worst(table.expected_count(ranks), row) < 1e-9, num_sampled


def test_the_exact_integral_id_by_id_at_300():
    """Beyond the head, and where the count goes by its cumulants."""
    law, expected = exact(300)
    for num_sampled in [2, 20, 40, 65, 100, 150, 220, 270, 299]:
        table = price_table(law, num_sampled, unique=True)
        row = expected[num_sampled - 1]
        assert worst(table.expected_count(np.arange(300)), row) < 1e-7
        assert worst(inclusion_probability(law, num_sampled, law.probs()), row) < 1e-7


@pytest.mark.parametrize("size", [240, 241, 260, 500])
def test_where_the_tail_begins(size):
    """One size that is all head, one with the shortest tail, and others behind them."""
    law = LogUniform(size)
    for num_sampled in [2, 5, 50, size // 2, *range(size - 6, size)]:
        prices = price_table(law, num_sampled, unique=True).expected_count(np.arange(size))
        assert prices.sum() == pytest.approx(num_sampled, rel=1e-7)
        assert worst(prices, inclusion_probability(law, num_sampled, law.probs())) < 1e-7


@pytest.mark.parametrize("num_sampled", [2, 11, 110, 400, 1998])
def test_the_exact_integral_at_2000(num_sampled):
    law, probs = LogUniform(2000), log_uniform_probs(2000)
    table = price_table(law, num_sampled, unique=True)
    ranks = np.array([0, 95, 96, 1999])
    expected = [integral_of_one(probs, rank, num_sampled) for rank in ranks]
    assert worst(table.expected_count(ranks), expected) < 1e-7


def solved_tries(probs, num_sampled):
    """1 - (1 - p)^t, t such that the sum is K: right in sum, 4 % off by id."""
    low, high = 0.0, 1e9
    for _ in range(200):
        tries = 0.5 * (low + high)
        if -np.expm1(tries * np.log1p(-probs)).sum() < num_sampled:
            low = tries
        else:
            high = tries
    return -np.expm1(tries * np.log1p(-probs))


WRONG = {
    "1 - (1 - p)^K": lambda probs, k: -np.expm1(k * np.log1p(-probs)),
    "solved number of tries": solved_tries,
    "K p": lambda probs, k: k * probs,
    "shifted by one": lambda probs, k: np.roll(integral_inclusion(probs)[k - 1], 1),
    "K - 1": lambda probs, k: integral_inclusion(probs)[k - 2],
}


@pytest.mark.parametrize("formula", WRONG)
@pytest.mark.parametrize("name", [6, 30, 100, "three items of 30 %"])
def test_wrong_formulas_are_rejected(name, formula):
    law, expected = exact(name)
    for num_sampled in (2, 5):
        prices = WRONG[formula](law.probs(), num_sampled)
        assert worst(prices, expected[num_sampled - 1]) > 100 * TOLERANCE


def test_a_sum_alone_would_accept_the_solved_tries():
    law, _ = exact(100)
    assert solved_tries(law.probs(), 10).sum() == pytest.approx(10, rel=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_unique_prices_sum_to_k(size):
    for num_sampled in ks(size):
        table = price_table(LogUniform(size), num_sampled, unique=True)
        assert total(table.expected_count, size) == pytest.approx(num_sampled, rel=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_the_table_is_short(size):
    for num_sampled in ks(size):
        table = price_table(LogUniform(size), num_sampled, unique=True)
        assert table.rows.size * 4 < 4096


@pytest.mark.parametrize("size", [10**6, 10**9])
def test_the_table_is_the_integral_between_its_knots(size):
    law = LogUniform(size)
    ranks = np.unique(np.geomspace(1, size, 150).astype(np.int64) - 1)
    for num_sampled in (2, 10, 1000, 10**5):
        expected = inclusion_probability(law, num_sampled, law.prob(ranks))
        table = price_table(law, num_sampled, unique=True)
        assert worst(table.expected_count(ranks), expected) < 1e-6


def test_prices_rise_with_k_and_fall_with_the_rank():
    law = LogUniform(50_000)
    ranks = np.arange(50_000)
    last = np.zeros(50_000)
    for num_sampled in (1, 2, 30, 70, 500, 20_000, 49_999, 50_000):
        prices = price_table(law, num_sampled, unique=True).expected_count(ranks)
        assert (prices[1:] <= prices[:-1] * (1 + 1e-6)).all()
        assert (prices >= last * (1 - 1e-6)).all()
        assert (prices > 0).all()
        assert (prices <= 1).all()
        last = prices


def test_one_draw_all_draws_one_item_and_equal_items():
    for law in (LogUniform(9), Empirical(Steps.from_counts([5, 4, 4, 1])), Uniform(6)):
        ranks = np.arange(law.size)
        once = price_table(law, 1, unique=True).expected_count(ranks)
        np.testing.assert_allclose(once, law.probs(), rtol=1e-15)
        everything = price_table(law, law.size, unique=True).expected_count(ranks)
        assert everything.tolist() == [1.0] * law.size
    for law in (LogUniform(1), Uniform(1), Empirical(Steps.from_counts([3]))):
        assert price_table(law, 1, unique=True).expected_count([0, 1]).tolist() == [1.0, 1.0]
    flat = Empirical(Steps.from_counts([9, 5, 1, 1]), distortion=0.0)
    for law in (Uniform(4), flat, Empirical(Steps.from_counts([3, 3, 3, 3]))):
        assert price_table(law, 3, unique=True).expected_count([0, 3]).tolist() == [0.75, 0.75]
    assert price_table(Uniform(10**9), 7, unique=True).expected_count(5) == 7e-9


def test_with_repetition_it_is_k_times_p():
    for law in (LogUniform(9), Uniform(9), Empirical(Steps.from_counts([5, 4, 1]))):
        table = price_table(law, 20, unique=False)
        prices = table.expected_count(np.arange(law.size))
        np.testing.assert_allclose(prices, 20 * law.probs(), rtol=1e-15)


@pytest.mark.parametrize("unique", [True, False])
def test_outside_the_range_the_price_is_one(unique):
    for law in (LogUniform(300), Uniform(9), Empirical(Steps.from_counts([5, 4, 1]))):
        for num_sampled in (1, 2, law.size):
            table = price_table(law, num_sampled, unique=unique)
            outside = [[-(10**12), -1], [law.size, 10**15]]
            assert table.expected_count(outside).tolist() == [[1.0, 1.0], [1.0, 1.0]]


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 10**6), min_size=2, max_size=60),
    st.floats(0.25, 2.0),
    st.floats(0.0, 1.0),
)
def test_any_steps_sum_to_k_and_agree_with_the_integral(counts, distortion, part):
    counts = sorted(counts, reverse=True)
    law = Empirical(Steps.from_counts(counts), distortion)
    num_sampled = 1 + int(part * (len(counts) - 1))
    prices = price_table(law, num_sampled, unique=True).expected_count(np.arange(law.size))
    assert prices.sum() == pytest.approx(num_sampled, rel=1e-9)
    last = law.size - 1
    for rank in (0, last):
        expected = integral_of_one(law.probs(), rank, num_sampled)
        assert prices[rank] == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("name", STEEP)
def test_the_rarest_ids_are_priced_as_exactly_as_the_others(name):
    law, exact_prices = steep(name)
    ranks = np.arange(law.size)
    for num_sampled in range(1, law.size + 1):
        prices = price_table(law, num_sampled, unique=True).expected_count(ranks)
        assert worst(prices, exact_prices(num_sampled)) < 1e-9, num_sampled
        assert (prices > 0).all() and (prices <= 1).all()
        assert worst(inclusion_probability(law, num_sampled, law.probs()), prices) < 1e-12


@settings(max_examples=150)
@given(
    st.lists(st.integers(1, 2**53), min_size=2, max_size=9),
    st.one_of(st.sampled_from([0.0, 1.0, 2.25]), st.floats(0, 1e3)),
    st.floats(0, 1),
)
def test_any_law_is_priced_exactly_or_refused(counts, distortion, part):
    """However steep; a refused one is really beyond 1e-37, and less distortion will do."""
    counts = sorted(counts, reverse=True)
    num_sampled = 1 + round(part * (len(counts) - 1))
    steps = Steps.from_counts(counts)
    logs = distortion * np.log(np.array(counts) / counts[0])
    if logs[-1] - np.log(np.exp(logs).sum()) < np.log(1e-37):
        with pytest.raises(PopSamplerError, match="smaller distortion, for example 1.0"):
            Empirical(steps, distortion)
        distortion = 1.0
    law = Empirical(steps, distortion)
    ranks = np.arange(law.size)
    prices = price_table(law, num_sampled, unique=True).expected_count(ranks)
    assert worst(prices, by_groups(counts, distortion, num_sampled)) < 1e-9
    assert (prices > 0).all() and (prices <= 1).all()
    repeated = price_table(law, num_sampled, unique=False).expected_count(ranks)
    assert (repeated >= 1e-37).all()


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 600), min_size=2, max_size=2),
    st.floats(0, 34),
    st.floats(0, 1),
    st.integers(-15, 15),
)
def test_near_cliffs_the_cumulants_do(sizes, decades, part, near):
    """Two groups: any K, and the first group's number of ids and a few more or less."""
    size = sum(sizes)
    weights = np.array([1.0, 10.0**-decades])
    masses = weights * sizes
    law = Grouped(Pieces([0, sizes[0]], masses / masses.sum(), size))
    for num_sampled in {1 + int(part * (size - 1)), min(max(1, sizes[0] + near), size)}:
        prices = inclusion_probability(law, num_sampled, law.pieces.probs)
        assert worst(prices, inclusion_by_groups(weights, sizes, num_sampled)) < 1e-6


class Grouped(Law):
    """A law of any pieces."""

    name = "grouped in a test"

    def get_config(self):
        return {"name": self.name}


@pytest.mark.parametrize("size", [10**12, 2**53])
def test_catalogs_as_long_as_ids_go(size):
    """log-uniform probabilities span more than 1e12 here."""
    law = LogUniform(size)
    ranks = np.unique(np.geomspace(1, size, 40).astype(np.int64) - 1)
    for num_sampled in (2, 1000):
        table = price_table(law, num_sampled, unique=True)
        assert total(table.expected_count, size) == pytest.approx(num_sampled, rel=1e-6)
        expected = inclusion_probability(law, num_sampled, law.prob(ranks))
        assert worst(table.expected_count(ranks), expected) < 1e-6


def test_many_distinct_counts_are_priced_from_some(monkeypatch):
    counts = np.unique((1e8 / np.arange(1, 1501) ** 1.2).astype(np.int64) + np.arange(1500, 0, -1))
    law = Empirical(Steps.from_counts(counts[::-1], max_steps=10**6))
    assert len(law.pieces.starts) > 1400
    for num_sampled in (2, 90, 700):
        some = inclusion_probability(law, num_sampled, law.pieces.probs)
        monkeypatch.setattr(prices, "_FEW", 10**9)
        every = inclusion_probability(law, num_sampled, law.pieces.probs)
        monkeypatch.undo()
        assert worst(some, every) < 1e-6
        assert some @ law.steps.lengths == pytest.approx(num_sampled, rel=1e-6)


def test_shapes_are_kept():
    law = LogUniform(50)
    assert inclusion_probability(law, 5, 0.02).shape == ()
    assert inclusion_probability(law, 5, law.probs().reshape(5, 10)).shape == (5, 10)
    assert price_table(law, 5, unique=True).expected_count(np.zeros((2, 3), int)).shape == (2, 3)


def test_wrong_arguments_are_refused():
    law = LogUniform(5)
    for num_sampled in (0, -1, 2.5, True):
        with pytest.raises(PopSamplerError, match="num_sampled"):
            price_table(law, num_sampled, unique=False)
    with pytest.raises(PopSamplerError, match="at most 5 unique"):
        price_table(law, 6, unique=True)
    with pytest.raises(PopSamplerError, match="at most 5 unique"):
        inclusion_probability(law, 6, law.probs())
