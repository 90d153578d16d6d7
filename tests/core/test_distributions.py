"""Tests the distributions: probabilities, inverses, nodes, distances."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from merlin_popsampler.core import distributions as module
from merlin_popsampler.core.distributions import (
    Empirical,
    LogUniform,
    Uniform,
    distance,
    distance_of_steps,
    distribution_from_config,
    register_distribution,
)
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.core.quadrature import sum_nodes
from merlin_popsampler.errors import PopSamplerError

COUNTS = [40, 22, 22, 9, 5, 5, 5, 2, 1, 1, 1]


def distributions(size):
    counts = (1000 / np.arange(1.0, size + 1)).astype(np.int64)
    steps = PopularityCurve.from_counts(counts, 20)
    return [LogUniform(size), Uniform(size), Empirical(steps), Empirical(steps, 0.75)]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_probabilities_fall_sum_to_one_and_end_at_the_edges(size):
    for distribution in distributions(size):
        probs = distribution.prob(np.arange(-2, size + 2))
        assert probs[:2].tolist() == probs[-2:].tolist() == [0.0, 0.0]
        assert probs.sum() == pytest.approx(1.0, rel=1e-13)
        assert (probs[2:-2] > 0).all()
        assert (np.diff(probs[2:-2]) <= 0).all()
        assert distribution.probs().tolist() == probs[2:-2].tolist()


def test_log_uniform_is_the_formula_of_tensorflow():
    ranks = np.arange(50)
    expected = np.log((ranks + 2) / (ranks + 1)) / np.log(51)
    np.testing.assert_allclose(LogUniform(50).prob(ranks), expected, rtol=1e-13)


def test_log_uniform_keeps_its_digits_at_a_billion():
    """Uses log(1 + y) = 2 artanh(y / (2 + y)) as an independent formula."""
    ranks = np.array([10**5, 10**7, 10**9 - 1])
    expected = 2 * np.arctanh(1 / (2 * ranks + 3)) / np.log(1e9 + 1)
    np.testing.assert_allclose(LogUniform(10**9).prob(ranks), expected, rtol=1e-14)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 997])
def test_inverse_has_the_mass_of_the_distribution(size):
    """On a fine grid of uniforms, the share of each rank is its probability."""
    uniforms = (np.arange(400_000) + 0.5) / 400_000
    for distribution in distributions(size):
        ranks = distribution.inverse(uniforms)
        assert ranks.dtype == np.int64
        share = np.bincount(ranks, minlength=size) / len(uniforms)
        assert len(share) == size
        np.testing.assert_allclose(share, distribution.probs(), atol=1.01 / len(uniforms))
        assert distribution.inverse(0.0) == 0
        assert distribution.inverse(1 - 2.0**-53) == size - 1
        assert distribution.inverse([[0.3], [0.6]]).shape == (2, 1)


@pytest.mark.parametrize("size", [10**6, 10**8, 10**9])
def test_log_uniform_inverse_is_right_to_the_last_rank(size):
    """Uniforms just inside both ends of a rank's interval give that rank."""
    distribution, rng = LogUniform(size), np.random.default_rng(17)
    tail = size - 1 - rng.integers(0, size // 2, 10_000)
    ranks = np.concatenate(([0, 1, 2, size - 3, size - 2, size - 1], tail))
    low = np.log1p(ranks) / np.log1p(size)
    assert distribution.inverse(low + 0.01 * distribution.prob(ranks)).tolist() == ranks.tolist()
    assert distribution.inverse(low + 0.99 * distribution.prob(ranks)).tolist() == ranks.tolist()


def test_empirical_inverse_is_right_within_a_step_of_a_billion_ids():
    distribution = Empirical(
        PopularityCurve(np.array([0, 10]), np.array([5000, 10**9]), 10**9 + 10)
    )
    ranks = np.array([0, 9, 10, 11, 10**9 // 3, 10**9 + 9])
    before = np.where(ranks < 10, ranks * 500, 5000 + ranks - 10)
    assert (
        distribution.inverse((before + 0.5) / distribution.steps.total).tolist() == ranks.tolist()
    )


def test_empirical_probabilities_are_the_counts():
    distribution = Empirical(PopularityCurve.from_counts(COUNTS))
    expected = [float(Fraction(count, sum(COUNTS))) for count in COUNTS]
    np.testing.assert_allclose(distribution.probs(), expected, rtol=1e-15)
    np.testing.assert_allclose(
        distribution.segments.cdf[1:],
        np.cumsum(distribution.segments.probs * distribution.steps.lengths),
    )
    assert distribution.segments.cdf[0] == 0
    assert distribution.segments.cdf[-1] == 1


@given(st.floats(0, 3))
def test_distortion_is_a_power_of_each_count(distortion):
    distribution = Empirical(PopularityCurve.from_counts(COUNTS), distortion)
    powers = np.array(COUNTS, float) ** distortion
    np.testing.assert_allclose(distribution.probs(), powers / powers.sum(), rtol=1e-12)


def test_unseen_ids_are_drawn_as_seen_once():
    distribution = Empirical(PopularityCurve.from_counts([7, 1, 0]))
    assert distribution.prob([1, 2]) * 9 == pytest.approx([1, 1])


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 70, 192, 193, 1000, 54321])
@pytest.mark.parametrize("x", [1e-3, 1.0, 50.0, 1e4])
def test_nodes_stand_for_the_catalog_in_sums(size, x):
    for distribution in distributions(size):
        probs, multiplicities = distribution.nodes()
        assert (np.diff(probs) <= 0).all()
        assert multiplicities.sum() == pytest.approx(size, rel=1e-12)
        expected = -np.expm1(-x * distribution.probs()).sum()
        assert -np.expm1(-x * probs) @ multiplicities == pytest.approx(expected, rel=1e-12)


def test_a_billion_ranks_have_few_nodes():
    probs, multiplicities = LogUniform(10**9).nodes()
    assert len(probs) < 400
    assert probs @ multiplicities == pytest.approx(1.0, abs=1e-13)


@pytest.mark.parametrize("degree", [0, 1, 2, 5])
def test_sums_of_polynomials_are_exact(degree):
    size = 3000
    ranks, multiplicities = sum_nodes(size)
    expected = sum(rank**degree for rank in range(size))
    assert multiplicities @ ranks**degree == pytest.approx(expected, rel=1e-12)


def test_config_round_trip_is_plain_json():
    for distribution in distributions(100):
        config = json.loads(json.dumps(distribution.get_config()))
        again = distribution_from_config(config)
        assert type(again) is type(distribution)
        assert again == distribution
        assert hash(again) == hash(distribution)
        assert again.probs().tolist() == distribution.probs().tolist()
    assert len({repr(distribution.get_config()) for distribution in distributions(100)}) == 4
    assert LogUniform(3) != LogUniform(4)
    assert LogUniform(3) != Uniform(3)
    assert (
        len(
            {
                hash(distribution)
                for distribution in [*distributions(100), LogUniform(3), LogUniform(4)]
            }
        )
        == 6
    )


def test_without_a_distortion_the_counts_are_the_distribution():
    config = Empirical(PopularityCurve.from_counts(COUNTS)).get_config()
    del config["distortion"]
    assert distribution_from_config(config) == Empirical(PopularityCurve.from_counts(COUNTS))


def test_a_large_power_of_large_counts_stays_finite():
    distribution = Empirical(
        PopularityCurve.from_counts([10**9, 10**9 - 10**6, 10**9 - 10**7]), 100.0
    )
    expected = np.array([1.0, 0.999**100, 0.99**100])
    np.testing.assert_allclose(distribution.probs(), expected / expected.sum(), rtol=1e-12)


def plain_distance(probs, counts):
    data = [Fraction(count, sum(counts)) for count in counts]
    tv = sum(abs(float(d) - p) for d, p in zip(data, probs)) / 2
    return tv, sum(float(d) * np.log(float(d) / p) for d, p in zip(data, probs) if d)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=30).filter(any))
def test_distance_is_its_definition(counts):
    for distribution in distributions(len(counts)):
        tv, kl = plain_distance(distribution.probs(), counts)
        found = distance(distribution, counts)
        assert found["tv"] == pytest.approx(tv, abs=1e-12)
        assert found["kl"] == pytest.approx(kl, abs=1e-12)
        assert found["kl"] >= 0


def test_a_count_of_zero_adds_nothing_to_the_divergence():
    """0 log 0 is 0."""
    found = distance(Uniform(4), [2, 1, 1, 0])
    assert found["tv"] == pytest.approx(0.25)
    assert found["kl"] == pytest.approx(0.5 * np.log(2))


@pytest.mark.parametrize("block", [1, 4, 10, 11, 1000])
@pytest.mark.parametrize(
    "distribution",
    [LogUniform(11), Uniform(11), Empirical(PopularityCurve([0, 3], [40, 16], 11))],
    ids=lambda distribution: distribution.name,
)
def test_distance_of_steps_in_blocks_is_that_of_the_counts(distribution, block, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", block)
    found = distance_of_steps(distribution, PopularityCurve.from_counts(COUNTS))
    assert found == pytest.approx(distance(distribution, COUNTS))
    assert found["tv"] > 0.05


def test_the_distance_of_steps_from_themselves_is_zero():
    steps = PopularityCurve.from_counts(COUNTS)
    assert distance_of_steps(Empirical(steps), steps) == pytest.approx({"tv": 0, "kl": 0}, abs=1e-9)


def test_distance_of_exact_steps_is_zero():
    assert distance(Empirical(PopularityCurve.from_counts(COUNTS)), COUNTS)["tv"] < 1e-15
    assert distance(LogUniform(len(COUNTS)), COUNTS)["tv"] > 0.05


def test_more_steps_come_closer():
    counts = (1e7 / np.arange(1, 100_001) ** 1.05).astype(np.int64) + 1
    found = [
        distance(Empirical(PopularityCurve.from_counts(counts, n)), counts)["tv"]
        for n in (16, 64, 256)
    ]
    assert found[0] > 2 * found[1] > 4 * found[2]
    assert found[2] < 0.003


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_sizes_that_are_not_positive_integers_are_refused(size):
    for make in (LogUniform, Uniform):
        with pytest.raises(PopSamplerError, match="at least one item"):
            make(size)


@pytest.mark.parametrize("size", ["a", None, [3], 2**53 + 1, 2**70, float("nan"), 1e300])
@pytest.mark.parametrize("make", [LogUniform, Uniform])
def test_foreign_sizes_are_refused(make, size):
    with pytest.raises(PopSamplerError, match="size of a catalog"):
        make(size)


def test_foreign_arguments_are_refused():
    for steps in ("0:3", [3, 1], None):
        with pytest.raises(PopSamplerError, match=r"steps of a popularity curve.*from_counts"):
            Empirical(steps)
    for distortion in ("a", None, True, [1.0], 1j):
        with pytest.raises(PopSamplerError, match="distortion"):
            Empirical(PopularityCurve.from_counts([2, 1]), distortion)
    for name in (["uniform"], None, 7, {}):
        with pytest.raises(PopSamplerError, match="distribution's name"):
            distribution_from_config({"name": name, "size": 3})


@pytest.mark.parametrize(
    ("counts", "distortion"),
    [
        ([1000, 10, 1], 20.0),
        ([1000, 10, 1], 100.0),
        ([1000, 10, 1], 200.0),
        ([10**7, 10**4, 10], 8),
    ],
)
def test_distributions_beyond_single_precision_are_refused(counts, distortion):
    """Their rarest expected counts would be 0, whose logarithm is infinite."""
    steps = PopularityCurve.from_counts(counts)
    with pytest.raises(
        PopSamplerError, match=r"1e-37 or more.*smaller distortion, for example 1\.0"
    ):
        Empirical(steps, distortion)
    assert Empirical(steps, 1.0).probs().min() > 0


def test_wrong_arguments_are_refused():
    with pytest.raises(PopSamplerError, match="at least one item"):
        Empirical(PopularityCurve.from_counts([]))
    for distortion in (-0.5, float("nan"), float("inf")):
        with pytest.raises(PopSamplerError, match="distortion"):
            Empirical(PopularityCurve.from_counts([2, 1]), distortion)
    with pytest.raises(PopSamplerError, match="'zipf'"):
        distribution_from_config({"name": "zipf", "size": 3})
    for counts in ([1, 2], [0, 0, 0], [3, -1, 0], [[1, 1, 1]]):
        with pytest.raises(PopSamplerError, match="3 counts"):
            distance(Uniform(3), counts)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_class_can_register_again_but_not_under_a_taken_name(where, monkeypatch):
    """Cases: a notebook cell that runs again, and a class of that name in another module."""
    monkeypatch.setattr(module, "_DISTRIBUTIONS", {})
    register_distribution(type("Mine", (Uniform,), {"name": "mine", "__module__": "here"}))
    again = type("Mine", (Uniform,), {"name": "mine", "__module__": where})
    if where == "here":
        assert register_distribution(again) is again
        assert module._DISTRIBUTIONS["mine"] is again
    else:
        with pytest.raises(PopSamplerError, match=r"elsewhere\.Mine.*which is here\.Mine's"):
            register_distribution(again)


@pytest.mark.parametrize("namespace", [{}, {"name": None}, {"name": ""}, {"name": 3}])
def test_a_class_without_a_name_is_not_registered(namespace):
    before = dict(module._DISTRIBUTIONS)
    nameless = type("Nameless", (module.Distribution,), namespace)
    with pytest.raises(PopSamplerError, match="Nameless.*a name, a string"):
        register_distribution(nameless)
    assert before == module._DISTRIBUTIONS
