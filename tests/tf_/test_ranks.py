"""The law of the draws, exactly the same in every algorithm, mode and trace."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from merlin_popsampler import PopSamplerError
from merlin_popsampler.core.draw_plan import Plan, plan
from merlin_popsampler.core.laws import Empirical, LogUniform, Uniform
from merlin_popsampler.core.prices import inclusion_probability
from merlin_popsampler.core.steps import Steps
from merlin_popsampler.tf import distinct, sequence
from merlin_popsampler.tf.ranks import draw_ranks
from tests.support import statistics_checks as checks
from tests.support.law_examples import LAWS
from tests.support.oracles import enumerate_inclusion, enumerate_sequences, log_uniform_probs

LARGE = {
    "log_uniform": LogUniform(10**9),
    "uniform": Uniform(10**6),
    "empirical": Empirical(Steps.from_counts(10**9 // np.arange(10, 10**6))),
    "distorted": Empirical(Steps.from_counts(10**9 // np.arange(10, 10**6)), distortion=0.75),
}
DISTINCT = ("host", "sort", "hash")
BRANCHES = (*DISTINCT, "race")


def batches_of(law, num_sampled, count, branch, unique=True, key=11):
    """`count` consecutive batches, `[count, num_sampled]`, drawn in one graph."""

    @tf.function(jit_compile=branch == "hash")
    def draw_all():
        return tf.map_fn(
            lambda position: draw_ranks(law, key, position, num_sampled, unique, branch),
            tf.range(count, dtype=tf.int64),
        )

    return draw_all().numpy()


# ------------------------------------------------------------------ with replacement


@pytest.mark.parametrize("name", sorted(LAWS))
def test_independent_draws_follow_the_law(name):
    law = LAWS[name]
    ranks = sequence.independent(law, 5, 0, 400_000).numpy()
    assert checks.follows(ranks, law.probs())


@pytest.mark.parametrize("wrong", sorted(checks.WRONG_LAWS))
def test_the_check_refuses_wrong_laws(wrong, rng):
    ranks = checks.draw(checks.WRONG_LAWS[wrong](30), 400_000, rng)
    assert not checks.follows(ranks, checks.log_uniform(30))


def test_the_check_accepts_the_right_law(rng):
    assert checks.follows(checks.draw(checks.log_uniform(30), 400_000, rng), checks.log_uniform(30))


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("name", ["log_uniform", "uniform"])
def test_every_rank_of_a_small_catalog_is_drawn(size, name):
    law = LogUniform(size) if name == "log_uniform" else Uniform(size)
    assert set(sequence.independent(law, 5, 0, 20_000).numpy()) == set(range(size))


@pytest.mark.parametrize("size", [10**8, 10**9, 2**31 + 5])
def test_the_tail_of_huge_catalogs(size):
    """Octave by octave, evenly inside the last one, and no gaps between neighbours."""
    ranks = sequence.independent(LogUniform(size), 5, 0, 1_000_000).numpy()
    assert checks.covers_octaves(ranks, size)
    assert checks.reaches_odd_and_even(ranks, above=size // 2)
    assert checks.collides_seldom(ranks, size // 2, size)


@pytest.mark.parametrize("size", [10**8, 10**9])
def test_single_precision_uniforms_are_refused(size, rng):
    uniforms = rng.integers(0, 2**24, 1_000_000) * np.float32(2**-24)
    ranks = np.exp(uniforms.astype(np.float64) * np.log1p(size)).astype(np.int64) - 1
    assert not checks.collides_seldom(ranks, size // 2, size)
    assert not checks.reaches_odd_and_even(ranks.astype(np.float32), above=size // 2)


@pytest.mark.parametrize("size", [10**8, 10**9])
def test_octaves_refuse_a_shorter_catalog(size):
    ranks = sequence.independent(LogUniform(size - size // 20), 5, 0, 1_000_000).numpy()
    assert not checks.covers_octaves(ranks, size)


# ------------------------------------------------------------------ unique


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("size, num_sampled", [(4, 2), (5, 3), (6, 4), (6, 5)])
def test_ordered_samples_against_enumeration(branch, size, num_sampled):
    """Not the sets alone: the order of arrival has the law of successive sampling too."""
    chances = dict(enumerate_sequences(log_uniform_probs(size), num_sampled))
    found = Counter(map(tuple, batches_of(LogUniform(size), num_sampled, 20_000, branch).tolist()))
    names = sorted(chances)
    assert set(found) <= set(names)
    draws = np.repeat(np.arange(len(names)), [found[name] for name in names])
    assert checks.follows(draws, [chances[name] for name in names])


@pytest.mark.parametrize("branch", (*BRANCHES, "auto"))
@pytest.mark.parametrize("num_sampled", [1, 3, 8])
def test_inclusion_against_enumeration(branch, num_sampled):
    batches = batches_of(LogUniform(8), num_sampled, 20_000, branch)
    assert checks.includes(batches, enumerate_inclusion(log_uniform_probs(8), num_sampled))


@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("name", ["log_uniform", "empirical"])
def test_inclusion_on_larger_catalogs(branch, name):
    law = LAWS[name]
    inclusion = inclusion_probability(law, 40, law.probs())
    assert checks.includes(batches_of(law, 40, 3000, branch), inclusion)


@pytest.mark.parametrize("wrong", sorted(checks.WRONG_LAWS))
def test_inclusion_refuses_wrong_laws(wrong, rng):
    inclusion = enumerate_inclusion(log_uniform_probs(8), 3)
    batches = checks.first_distinct(checks.WRONG_LAWS[wrong](8), 3, 20_000, rng)
    assert not checks.includes(batches, inclusion)


def test_inclusion_refuses_the_smallest_of_the_distinct(rng):
    inclusion = enumerate_inclusion(log_uniform_probs(8), 3)
    assert not checks.includes(checks.first_sorted(log_uniform_probs(8), 3, 20_000, rng), inclusion)
    assert checks.includes(checks.first_distinct(log_uniform_probs(8), 3, 20_000, rng), inclusion)


@pytest.mark.parametrize("name", sorted(LAWS))
@pytest.mark.parametrize("num_sampled", [2, 40, 399, 400])
def test_exactly_so_many_distinct_ranks(name, num_sampled):
    for branch in ("auto", "race") + (DISTINCT if num_sampled <= 40 else ()):
        ranks = draw_ranks(LAWS[name], 5, 0, num_sampled, branch=branch).numpy()
        assert len(set(ranks)) == num_sampled and ranks.dtype == np.int64
        assert ranks.min() >= 0 and ranks.max() < 400


@pytest.mark.parametrize("law", [LogUniform(10**6), LARGE["empirical"]], ids=["plain", "head"])
def test_a_first_try_that_fails_changes_nothing(law, monkeypatch):
    """One case in thousands, so made frequent: half of the batches need the longer sequence."""
    num = 500 if law.name == "log_uniform" else 12_000
    parts = plan(law, num)
    assert (parts.head > 0) == (num == 12_000)
    lengths, found = [parts.few, parts.draws], []
    for place in range(12):
        draws = sequence.sequence(law, 5, place, parts)(parts.draws).numpy()
        ends = np.sort(np.unique(draws, return_index=True)[1])
        found.append(1 + ends[num - 1] - parts.head - parts.tail)
        first = draw_ranks(law, 5, place, num, branch="host").numpy()
        assert first.tolist() == draws[ends[:num]].tolist()
    assert lengths[0] < lengths[1]
    half = int(np.median(found))
    short = Plan(parts.head, parts.head_mass, parts.tail, parts.draws, half)
    monkeypatch.setattr(sequence, "plan", lambda *_: short)
    expected = [draw_ranks(law, 5, place, num, branch="hash") for place in range(12)]
    ranks = batches_of(law, num, 12, "host", key=5)
    assert ranks.tolist() == np.stack(expected).tolist()


# ------------------------------------------------------------------ a head by itself


def by_hand(law, num_sampled, parts, count, branch):
    """Batches of a plan made by hand, `[count, num_sampled]`."""

    @tf.function(jit_compile=branch == "hash")
    def draw_all():
        def draw(position):
            ranks = sequence.sequence(law, 11, position, parts)(parts.draws)
            return distinct.ALGORITHMS[branch](ranks, num_sampled)

        return tf.map_fn(draw, tf.range(count, dtype=tf.int64))

    return draw_all().numpy()


FALLING = Empirical(Steps.from_counts([9, 9, 4, 2, 2, 1]))


@pytest.mark.parametrize("branch", DISTINCT)
@pytest.mark.parametrize(
    "law, head",
    [(LogUniform(6), 1), (LogUniform(6), 3), (FALLING, 2), (FALLING, 3)],
    ids=["log_uniform-1", "log_uniform-3", "empirical-2", "empirical-3"],
)
@pytest.mark.parametrize("tail", [1, 2])
def test_a_head_by_itself_against_enumeration(branch, law, head, tail):
    """Every set of 4 of 6 ranks is as frequent as successive sampling makes it."""
    if head + tail > 4:
        tail = 1
    chances = set_chances(law, 4)
    parts = Plan(head, float(law.probs()[:head].sum()), tail, 300, 300)
    found = Counter(map(frozenset, by_hand(law, 4, parts, 20_000, branch).tolist()))
    names = sorted(chances, key=sorted)
    draws = np.repeat(np.arange(len(names)), [found[name] for name in names])
    assert len(draws) == 20_000
    assert checks.follows(draws, [chances[name] for name in names])


def set_chances(law, num_sampled):
    """Every set of ranks with its probability under successive sampling."""
    chances = Counter()
    for ranks, chance in enumerate_sequences(law.probs(), num_sampled):
        chances[frozenset(ranks)] += chance
    return chances


def test_enumeration_refuses_a_head_at_a_fixed_time(monkeypatch):
    """The control: the time of the last draw replaced by its mean."""
    monkeypatch.setattr(sequence, "_gamma", lambda shape, _: tf.constant(float(shape), tf.float64))
    law = LogUniform(6)
    batches = by_hand(law, 4, Plan(3, float(law.probs()[:3].sum()), 1, 300, 300), 20_000, "host")
    assert not checks.includes(batches, enumerate_inclusion(law.probs(), 4))


@pytest.mark.parametrize("branch", DISTINCT)
@pytest.mark.parametrize("name", ["log_uniform", "empirical"])
def test_inclusion_with_a_head_as_planned(name, branch, monkeypatch):
    """The planner's own choice on a catalog that is small enough to be counted."""
    monkeypatch.setattr("merlin_popsampler.core.draw_plan._WORTH", 0)
    monkeypatch.setattr("merlin_popsampler.core.draw_plan._STEADY", 100)
    law = {
        "log_uniform": LogUniform(3000),
        "empirical": Empirical(Steps.from_counts(10**6 // np.arange(1, 3001), 60)),
    }[name]
    plan.cache_clear()
    parts = plan(law, 500)
    assert parts.head > 10
    assert parts.length < 3000
    batches = batches_of(law, 500, 1500, branch)
    plan.cache_clear()
    assert checks.includes(batches, inclusion_probability(law, 500, law.probs()))


@pytest.mark.parametrize("law", [LogUniform(10**6), LARGE["empirical"]], ids=["plain", "steps"])
def test_a_planned_head_at_full_size(law):
    """Expected counts over the whole catalog, in bands of ranks: the right sum in every one."""
    num, batches = 12_000, 40
    chance = inclusion_probability(law, num, law.probs())
    ranks = batches_of(law, num, batches, "host").ravel()
    edges = np.unique(np.geomspace(1, law.size + 1, 40).astype(np.int64)) - 1
    expected = np.add.reduceat(chance, edges[:-1])
    spread = np.sqrt(np.add.reduceat(chance * (1 - chance), edges[:-1]) / batches)
    found = np.histogram(ranks, edges)[0] / batches
    assert (np.abs(found - expected) < 5.5 * spread + 1e-9).all()
    wrong = num * law.probs()
    off = np.abs(np.add.reduceat(wrong, edges[:-1]) - expected)
    assert (off > 5.5 * spread).any()


@pytest.mark.parametrize("shape", [1, 4, 9000])
def test_gamma_variates(shape, rng):
    uniforms = tf.constant(rng.random((4000, 24)))
    found = tf.map_fn(lambda u: sequence._gamma(shape, u), uniforms).numpy()
    assert stats.kstest(found, stats.gamma(shape).cdf).pvalue > checks.LEVEL
    wrong = stats.gamma(shape * 1.2 if shape < 5 else 9020)
    assert stats.kstest(found, wrong.cdf).pvalue < checks.LEVEL


# ------------------------------------------------------------------ streams


def test_consecutive_batches_are_independent():
    """The overlap of two batches is what two independent ones have, id by id."""
    law = LogUniform(1000)
    chance = inclusion_probability(law, 100, law.probs())
    batches = batches_of(law, 100, 1001, "host")
    overlaps = [len(set(a) & set(b)) for a, b in zip(batches.tolist(), batches[1:].tolist())]
    spread = np.std(overlaps) / np.sqrt(len(overlaps))
    assert abs(np.mean(overlaps) - np.sum(chance**2)) < 5 * spread
    assert len({tuple(batch) for batch in batches.tolist()}) == 1001


# ------------------------------------------------------------------ one stream, everywhere


@pytest.mark.parametrize("name", sorted(LAWS))
@pytest.mark.parametrize("num_sampled", [7, 60, 12_000])
def test_the_same_ranks_in_every_algorithm_and_mode(name, num_sampled):
    law = LAWS[name] if num_sampled < 100 else LARGE[name]
    expected = draw_ranks(law, 5, 9, num_sampled, branch="host").numpy().tolist()
    position = tf.constant(9, tf.int64)
    for branch in DISTINCT:

        def traced(place, branch=branch):
            return draw_ranks(law, 5, place, num_sampled, branch=branch)

        assert traced(9).numpy().tolist() == expected
        assert tf.function(traced)(position).numpy().tolist() == expected
        if branch != "host":
            assert tf.function(traced, jit_compile=True)(position).numpy().tolist() == expected


@pytest.mark.parametrize("unique, num_sampled", [(False, 50), (True, 390)])
def test_independent_draws_and_races_compile(unique, num_sampled):
    def traced(place):
        return draw_ranks(LAWS["empirical"], 5, place, num_sampled, unique)

    position = tf.constant(2, tf.int64)
    expected = traced(position).numpy().tolist()
    assert tf.function(traced)(position).numpy().tolist() == expected
    assert tf.function(traced, jit_compile=True)(position).numpy().tolist() == expected


def test_keys_and_positions_tell_streams_apart():
    draws = {
        tuple(draw_ranks(LogUniform(10**6), key, place, 20).numpy())
        for key in (0, 1, -1, 2**63 - 1)
        for place in (0, 1, 2**40)
    }
    assert len(draws) == 12


def test_integers_of_any_kind_name_the_same_stream():
    draws = [
        draw_ranks(LogUniform(10**6), key, place, 20).numpy().tolist()
        for key, place in [(-1, 3), (2**64 - 1, 3), (tf.constant(-1, tf.int64), tf.constant(3))]
    ]
    assert draws[0] == draws[1] == draws[2]


def test_golden_draws():
    """A new version, another machine, another TensorFlow: the same draws as ever."""
    assert draw_ranks(LogUniform(10**6), 17, 0, 8).numpy().tolist() == GOLDEN


GOLDEN = [6929, 380835, 116106, 1, 1567, 14, 16, 40447]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_sampled": 401}, "at most 400 unique"),
        ({"num_sampled": 5, "branch": "guess"}, "branch"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(PopSamplerError, match=message):
        draw_ranks(LogUniform(400), 0, 0, **arguments)
