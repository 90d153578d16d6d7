"""Compares expected counts with enumeration and an integral, id by id; they sum to K.

An expected count is accepted within 6e-6 (relative) of the exact one for every id. The same
check rejects the formulas of other libraries, and insufficient approximations.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from merlin_popsampler.core import expected_counts
from merlin_popsampler.core.distributions import Distribution, Empirical, LogUniform, Uniform
from merlin_popsampler.core.expected_counts import build_expected_counts, inclusion_probability
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.core.segments import Segments
from merlin_popsampler.errors import PopSamplerError
from tests.support.expected_count_checks import (
    SIZES,
    STEEP,
    TOLERANCE,
    by_groups,
    exact,
    ks,
    steep,
    thinned,
    total,
    worst,
)
from tests.support.oracles import (
    CLIFFS,
    enumerate_inclusion,
    enumerate_sequences,
    inclusion_by_groups,
    integral_inclusion,
    integral_of_one,
    log_uniform_probs,
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
    distribution = Empirical(PopularityCurve.from_counts(counts))
    for num_sampled in range(1, len(counts) + 1):
        expected = enumerate_inclusion(np.array(counts) / sum(counts), num_sampled)
        table = build_expected_counts(distribution, num_sampled, unique=True)
        assert worst(table.expected_count(np.arange(len(counts))), expected) < 1e-12
        assert (
            worst(inclusion_probability(distribution, num_sampled, distribution.probs()), expected)
            < 1e-12
        )


@pytest.mark.parametrize("size", [2, 3, 4, 6])
def test_brute_force_log_uniform(size):
    for num_sampled in range(1, size + 1):
        expected = enumerate_inclusion(log_uniform_probs(size), num_sampled)
        table = build_expected_counts(LogUniform(size), num_sampled, unique=True)
        assert worst(table.expected_count(np.arange(size)), expected) < 1e-12


@pytest.mark.parametrize("name", [6, 30, 100, *CLIFFS])
def test_the_exact_integral_id_by_id(name):
    distribution, expected = exact(name)
    ranks = np.arange(distribution.size)
    for num_sampled in thinned(distribution.size):
        table = build_expected_counts(distribution, num_sampled, unique=True)
        row = expected[num_sampled - 1]
        assert worst(table.expected_count(ranks), row) < 1e-9, num_sampled


def test_the_exact_integral_id_by_id_at_300():
    """Covers ids beyond the head, and sizes at which cumulants approximate the count."""
    distribution, expected = exact(300)
    for num_sampled in [2, 20, 40, 65, 100, 150, 220, 270, 299]:
        table = build_expected_counts(distribution, num_sampled, unique=True)
        row = expected[num_sampled - 1]
        assert worst(table.expected_count(np.arange(300)), row) < 1e-7
        assert (
            worst(inclusion_probability(distribution, num_sampled, distribution.probs()), row)
            < 1e-7
        )


@pytest.mark.parametrize("size", [240, 241, 260, 500])
def test_where_the_tail_begins(size):
    """Sizes: one without a tail, one with the shortest tail, and larger ones."""
    distribution = LogUniform(size)
    for num_sampled in [2, 50, size // 2, size - 6, size - 1]:
        expected_counts = build_expected_counts(
            distribution, num_sampled, unique=True
        ).expected_count(np.arange(size))
        assert expected_counts.sum() == pytest.approx(num_sampled, rel=1e-7)
        assert (
            worst(
                expected_counts,
                inclusion_probability(distribution, num_sampled, distribution.probs()),
            )
            < 1e-7
        )


def test_the_exact_integral_at_2000():
    probs, ranks = log_uniform_probs(2000), [0, 95, 96, 1999]
    for num_sampled in [2, 110, 1998]:
        table = build_expected_counts(LogUniform(2000), num_sampled, unique=True)
        expected = [integral_of_one(probs, rank, num_sampled) for rank in ranks]
        assert worst(table.expected_count(ranks), expected) < 1e-7, num_sampled


def solved_tries(probs, num_sampled):
    """Computes 1 - (1 - p)^t, with t so that the sum is K: right in sum, 4 % off for single ids."""
    low, high = 0.0, 1e9
    for _ in range(200):
        tries = 0.5 * (low + high)
        if -np.expm1(tries * np.log1p(-probs)).sum() < num_sampled:
            low = tries
        else:
            high = tries
    return -np.expm1(tries * np.log1p(-probs))


WRONG = {
    "1 - (1 - p)^K": lambda probs, k, _: -np.expm1(k * np.log1p(-probs)),
    "solved number of tries": lambda probs, k, _: solved_tries(probs, k),
    "K p": lambda probs, k, _: k * probs,
    "shifted by one": lambda _, k, right: np.roll(right[k - 1], 1),
    "K - 1": lambda _, k, right: right[k - 2],
}


@pytest.mark.parametrize("formula", WRONG)
@pytest.mark.parametrize("name", [6, 30, 100, "three items of 30 %"])
def test_wrong_formulas_are_rejected(name, formula):
    distribution, expected = exact(name)
    for num_sampled in (2, 5):
        expected_counts = WRONG[formula](distribution.probs(), num_sampled, expected)
        assert worst(expected_counts, expected[num_sampled - 1]) > 100 * TOLERANCE


def test_a_sum_alone_would_accept_the_solved_tries():
    distribution, _ = exact(100)
    assert solved_tries(distribution.probs(), 10).sum() == pytest.approx(10, rel=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_unique_expected_counts_sum_to_k(size):
    for num_sampled in ks(size):
        table = build_expected_counts(LogUniform(size), num_sampled, unique=True)
        assert total(table.expected_count, size) == pytest.approx(num_sampled, rel=4e-6)


def test_a_table_without_the_count_of_ids_outside_is_of_no_use():
    """Regression: in modules that were pickled before, reserved ids had the probability 1."""
    table = build_expected_counts(Uniform(4), 1, unique=False, outside=0.0)
    assert table.expected_count([-1, 0, 4]).tolist() == [0.0, 0.25, 0.0]
    del table.__dict__["outside"]
    with pytest.raises(AttributeError, match="outside"):
        table.expected_count([-1, 0, 4])


@pytest.mark.parametrize(("size", "rows"), [(1, 130), (10, 500), (10**6, 2600), (2**53, 6800)])
def test_the_table_is_short(size, rows):
    for num_sampled in [k for k in (1, 2, 1000, 10**5) if k <= size]:
        for unique in (True, False):
            table = build_expected_counts(LogUniform(size), num_sampled, unique)
            assert 1 <= len(table.rows) <= rows


@pytest.mark.parametrize("size", [2**17, 2**17 + 1, 100_003])
def test_the_ends_of_a_cell_are_exact(size):
    """Between them, the table is less exact."""
    distribution = LogUniform(size)
    everywhere = np.arange(size)
    mantissa, exponent = np.frexp(everywhere + 1.0)
    octaves = exponent + 2.0 * mantissa  # piecewise linear, up to a constant
    before = np.flatnonzero(np.diff((octaves[-1] - octaves) * 128 // 1))
    ends = np.concatenate([[0], before, before + 1, [size - 1]])
    for num_sampled in (2, 1000, size // 3):
        table = build_expected_counts(distribution, num_sampled, unique=True)
        expected = inclusion_probability(distribution, num_sampled, distribution.probs())
        assert worst(table.expected_count(ends), expected[ends]) < 1e-7
        assert worst(table.expected_count(everywhere[:256]), expected[:256]) < 1e-7
        assert worst(table.expected_count(everywhere), expected) < TOLERANCE
    assert worst(table.expected_count(everywhere), expected) > 1e-6


@pytest.mark.parametrize("size", [10**6, 10**9])
def test_the_table_is_the_integral_between_its_knots(size):
    distribution = LogUniform(size)
    ranks = np.unique(np.geomspace(1, size, 150).astype(np.int64) - 1)
    for num_sampled in (2, 10, 1000, 10**5):
        expected = inclusion_probability(distribution, num_sampled, distribution.prob(ranks))
        table = build_expected_counts(distribution, num_sampled, unique=True)
        assert worst(table.expected_count(ranks), expected) < TOLERANCE


@pytest.mark.parametrize("shift", [1e-300, 0.1, 1e3, 1e9])
def test_any_shift_of_the_logarithm(shift):
    """From all mass on the first rank to nearly equal ranks."""
    distribution = Grouped(Segments([0], [1.0], 10**6, shift))
    ranks = np.unique(np.geomspace(1, 10**6, 900).astype(np.int64) - 1)
    probs = distribution.prob(ranks)
    for num_sampled in (2, 1000):
        table = build_expected_counts(distribution, num_sampled, unique=True)
        expected = inclusion_probability(distribution, num_sampled, probs)
        assert worst(table.expected_count(ranks), expected) < TOLERANCE
        repeated = build_expected_counts(distribution, num_sampled, unique=False)
        assert worst(repeated.expected_count(ranks), num_sampled * probs) < TOLERANCE
        assert np.isfinite(repeated.rows.astype(np.float32)).all()


def test_expected_counts_rise_with_k_and_fall_with_the_rank():
    distribution = LogUniform(50_000)
    ranks = np.arange(50_000)
    last = np.zeros(50_000)
    for num_sampled in (1, 2, 30, 70, 500, 20_000, 49_999, 50_000):
        expected_counts = build_expected_counts(
            distribution, num_sampled, unique=True
        ).expected_count(ranks)
        assert (expected_counts[1:] <= expected_counts[:-1] * (1 + 1e-6)).all()
        assert (expected_counts >= last * (1 - 1e-6)).all()
        assert (expected_counts > 0).all()
        assert (expected_counts <= 1).all()
        last = expected_counts


def test_one_draw_all_draws_one_item_and_equal_items():
    for distribution in (
        LogUniform(9),
        Empirical(PopularityCurve.from_counts([5, 4, 4, 1])),
        Uniform(6),
    ):
        ranks = np.arange(distribution.size)
        once = build_expected_counts(distribution, 1, unique=True).expected_count(ranks)
        np.testing.assert_allclose(once, distribution.probs(), rtol=1e-15)
        everything = build_expected_counts(
            distribution, distribution.size, unique=True
        ).expected_count(ranks)
        assert everything.tolist() == [1.0] * distribution.size
    for distribution in (LogUniform(1), Uniform(1), Empirical(PopularityCurve.from_counts([3]))):
        assert build_expected_counts(distribution, 1, unique=True).expected_count(
            [0, 1]
        ).tolist() == [1.0, 1.0]
    flat = Empirical(PopularityCurve.from_counts([9, 5, 1, 1]), distortion=0.0)
    for distribution in (Uniform(4), flat, Empirical(PopularityCurve.from_counts([3, 3, 3, 3]))):
        assert build_expected_counts(distribution, 3, unique=True).expected_count(
            [0, 3]
        ).tolist() == [0.75, 0.75]
    assert build_expected_counts(Uniform(10**9), 7, unique=True).expected_count(5) == 7e-9


def test_with_repetition_it_is_k_times_p():
    for distribution in (
        LogUniform(9),
        Uniform(9),
        Empirical(PopularityCurve.from_counts([5, 4, 1])),
    ):
        table = build_expected_counts(distribution, 20, unique=False)
        expected_counts = table.expected_count(np.arange(distribution.size))
        np.testing.assert_allclose(expected_counts, 20 * distribution.probs(), rtol=1e-15)


@pytest.mark.parametrize("unique", [True, False])
def test_outside_the_range_the_expected_count_is_one(unique):
    for distribution in (
        LogUniform(300),
        Uniform(9),
        Empirical(PopularityCurve.from_counts([5, 4, 1])),
    ):
        for num_sampled in (1, 2, distribution.size):
            table = build_expected_counts(distribution, num_sampled, unique=unique)
            outside = [[-(10**12), -1], [distribution.size, 10**15]]
            assert table.expected_count(outside).tolist() == [[1.0, 1.0], [1.0, 1.0]]


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 10**6), min_size=2, max_size=60),
    st.floats(0.25, 2.0),
    st.floats(0.0, 1.0),
)
def test_any_steps_sum_to_k_and_agree_with_the_integral(counts, distortion, part):
    counts = sorted(counts, reverse=True)
    distribution = Empirical(PopularityCurve.from_counts(counts), distortion)
    num_sampled = 1 + int(part * (len(counts) - 1))
    expected_counts = build_expected_counts(distribution, num_sampled, unique=True).expected_count(
        np.arange(distribution.size)
    )
    assert expected_counts.sum() == pytest.approx(num_sampled, rel=1e-9)
    last = distribution.size - 1
    for rank in (0, last):
        expected = integral_of_one(distribution.probs(), rank, num_sampled)
        assert expected_counts[rank] == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("name", STEEP)
def test_expected_counts_of_the_rarest_ids_are_as_exact(name):
    distribution, exact_expected_counts = steep(name)
    ranks = np.arange(distribution.size)
    for num_sampled in thinned(distribution.size):
        expected_counts = build_expected_counts(
            distribution, num_sampled, unique=True
        ).expected_count(ranks)
        assert worst(expected_counts, exact_expected_counts(num_sampled)) < 1e-9, num_sampled
        assert (expected_counts > 0).all() and (expected_counts <= 1).all()
        assert (
            worst(
                inclusion_probability(distribution, num_sampled, distribution.probs()),
                expected_counts,
            )
            < 1e-12
        )


@settings(max_examples=150)
@given(
    st.lists(st.integers(1, 2**53), min_size=2, max_size=9),
    st.one_of(st.sampled_from([0.0, 1.0, 2.25]), st.floats(0, 1e3)),
    st.floats(0, 1),
)
def test_expected_counts_are_exact_or_the_distribution_is_refused(counts, distortion, part):
    """Steep distributions with a probability below 1e-37 are refused; less distortion helps."""
    counts = sorted(counts, reverse=True)
    num_sampled = 1 + round(part * (len(counts) - 1))
    steps = PopularityCurve.from_counts(counts)
    logs = distortion * np.log(np.array(counts) / counts[0])
    if logs[-1] - np.log(np.exp(logs).sum()) < np.log(1e-37):
        with pytest.raises(PopSamplerError, match="smaller distortion, for example 1.0"):
            Empirical(steps, distortion)
        distortion = 1.0
    distribution = Empirical(steps, distortion)
    ranks = np.arange(distribution.size)
    expected_counts = build_expected_counts(distribution, num_sampled, unique=True).expected_count(
        ranks
    )
    assert worst(expected_counts, by_groups(counts, distortion, num_sampled)) < 1e-9
    assert (expected_counts > 0).all() and (expected_counts <= 1).all()
    repeated = build_expected_counts(distribution, num_sampled, unique=False).expected_count(ranks)
    assert (repeated >= 1e-37).all()


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 600), min_size=2, max_size=2),
    st.floats(0, 34),
    st.floats(0, 1),
    st.integers(-15, 15),
)
def test_near_cliffs_the_cumulants_do(sizes, decades, part, near):
    """Two groups of ids: K near the size of the first group, and any other."""
    size = sum(sizes)
    weights = np.array([1.0, 10.0**-decades])
    masses = weights * sizes
    distribution = Grouped(Segments([0, sizes[0]], masses / masses.sum(), size))
    for num_sampled in {1 + int(part * (size - 1)), min(max(1, sizes[0] + near), size)}:
        expected_counts = inclusion_probability(
            distribution, num_sampled, distribution.segments.probs
        )
        assert worst(expected_counts, inclusion_by_groups(weights, sizes, num_sampled)) < 1e-6


class Grouped(Distribution):
    """Defines a distribution by its segments."""

    name = "grouped in a test"

    def get_config(self):
        return {"name": self.name}


@pytest.mark.parametrize("size", [10**12, 2**53])
def test_catalogs_as_long_as_ids_go(size):
    """Log-uniform probabilities of the largest catalogs span a factor of more than 1e12."""
    distribution = LogUniform(size)
    ranks = np.unique(np.geomspace(1, size, 40).astype(np.int64) - 1)
    for num_sampled in (2, 1000):
        table = build_expected_counts(distribution, num_sampled, unique=True)
        assert total(table.expected_count, size) == pytest.approx(num_sampled, rel=4e-6)
        expected = inclusion_probability(distribution, num_sampled, distribution.prob(ranks))
        assert worst(table.expected_count(ranks), expected) < TOLERANCE


def test_expected_counts_of_many_distinct_counts_are_interpolated(monkeypatch):
    counts = np.unique((1e8 / np.arange(1, 1501) ** 1.2).astype(np.int64) + np.arange(1500, 0, -1))
    distribution = Empirical(PopularityCurve.from_counts(counts[::-1], max_steps=10**6))
    assert len(distribution.segments.starts) > 1400
    for num_sampled in (2, 90, 700):
        some = inclusion_probability(distribution, num_sampled, distribution.segments.probs)
        monkeypatch.setattr(expected_counts, "_FEW", 10**9)
        every = inclusion_probability(distribution, num_sampled, distribution.segments.probs)
        monkeypatch.undo()
        assert worst(some, every) < 1e-6
        assert some @ distribution.steps.lengths == pytest.approx(num_sampled, rel=1e-6)


def test_close_probabilities_between_others_are_as_exact():
    """Regression: an interpolation between close knots amplified rounding."""
    distribution = LogUniform(2**40)
    powers = 2 ** np.arange(2, 40)
    random = np.exp(np.random.default_rng(5).random(420) * np.log(2**40)).astype(np.int64)
    ranks = np.unique(np.concatenate([powers - 2, powers - 1, powers, powers + 1, random - 1]))
    assert len(ranks) > 512
    probs = distribution.prob(ranks)
    for num_sampled in (100, 10_000):
        found = inclusion_probability(distribution, num_sampled, probs)
        parts = [
            inclusion_probability(distribution, num_sampled, p) for p in np.split(probs, [300])
        ]
        assert worst(found, np.concatenate(parts)) < 1e-6


def test_shapes_are_kept():
    distribution = LogUniform(50)
    assert inclusion_probability(distribution, 5, 0.02).shape == ()
    assert inclusion_probability(distribution, 5, distribution.probs().reshape(5, 10)).shape == (
        5,
        10,
    )
    assert build_expected_counts(distribution, 5, unique=True).expected_count(
        np.zeros((2, 3), int)
    ).shape == (2, 3)


def test_wrong_arguments_are_refused():
    distribution = LogUniform(5)
    for num_sampled in (0, -1, 2.5, True):
        with pytest.raises(PopSamplerError, match="num_sampled"):
            build_expected_counts(distribution, num_sampled, unique=False)
    with pytest.raises(PopSamplerError, match="at most 5 unique"):
        build_expected_counts(distribution, 6, unique=True)
    with pytest.raises(PopSamplerError, match="at most 5 unique"):
        inclusion_probability(distribution, 6, distribution.probs())
