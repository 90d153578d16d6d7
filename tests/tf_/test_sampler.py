"""The layer: what it draws, what it says of it, and how Keras handles it."""

import json
import sys
import warnings

import numpy as np
import pytest

from tests.support import oracles
from tests.support import statistics_checks as checks

tf = pytest.importorskip("tensorflow")

from merlin.schema import ColumnSchema, Schema

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.core.distributions import Empirical, LogUniform
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.tf import sampler as sampler_module
from merlin_popsampler.tf.sampler import PopularityBasedSampler
from tests.support.draws import many_batches
from tests.support.small_catalog import COUNTS, DISTRIBUTIONS, ORACLES, sampler


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_repeated_draws_follow_the_distribution_to_both_ends(distribution):
    ranks = many_batches(
        sampler(distribution=DISTRIBUTIONS[distribution], unique=False, max_num_samples=500), 200
    )
    assert checks.follows(ranks, ORACLES[distribution])
    assert set(np.unique(ranks)) == set(range(12))
    wrong = [name for name in ORACLES if name != distribution]
    assert not any(checks.follows(ranks, ORACLES[name]) for name in wrong)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("num_sampled", [1, 5, 11])
def test_unique_draws_include_ids_as_often_as_they_are_priced(distribution, num_sampled):
    layer = sampler(distribution=DISTRIBUTIONS[distribution], max_num_samples=num_sampled)
    ranks = many_batches(layer, 4000)
    expected_counts = layer.expected_count(tf.range(3, 15)).numpy()
    np.testing.assert_allclose(
        expected_counts, oracles.enumerate_inclusion(ORACLES[distribution], num_sampled), rtol=1e-5
    )
    assert checks.includes(ranks, expected_counts)
    assert set(np.unique(ranks)) == set(range(12))
    if distribution == "log_uniform" and num_sampled == 5:  # negative controls
        assert not checks.includes(ranks, np.roll(expected_counts, 1))
        assert not checks.includes(ranks, 1 - (1 - ORACLES[distribution]) ** num_sampled)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_distribution_probs_cover_min_id_to_max_id(distribution):
    probs = sampler(distribution=DISTRIBUTIONS[distribution]).get_distribution_probs()
    assert probs.dtype == tf.float32
    assert probs.shape == (15,)
    np.testing.assert_array_equal(probs[:3], 0)
    np.testing.assert_allclose(probs[3:], ORACLES[distribution], rtol=1e-6)
    assert abs(np.sum(probs, dtype=np.float64) - 1) < 1e-6


def test_distribution_probs_of_a_large_catalog_sum_to_one():
    probs = PopularityBasedSampler(3_000_000, 3).get_distribution_probs().numpy()
    assert abs(probs.sum(dtype=np.float64) - 1) < 1e-6
    assert probs[3:].min() > 0


def test_distribution_probs_longer_than_a_billion_are_refused():
    for layer in (PopularityBasedSampler(2**40, 3), PopularityBasedSampler(2**40, 2**40 - 9, 5)):
        with pytest.raises(PopSamplerError, match=r"list of all ids.*probability\(ids\)"):
            layer.get_distribution_probs()
        assert layer.probability([2**40]) > 0


STEEP = Empirical(
    PopularityCurve(np.array([0, 5]), np.array([5 * 10**12, 3 * 10**9]), 3 * 10**9 + 5), 1.5
)


def test_what_no_machine_draws_is_refused_before_anything_changes():
    """Five items have all but 1e-9 of the mass, so a sixth takes too many draws."""
    with pytest.raises(PopSamplerError, match="6 distinct ids.*unique=False.*flatter"):
        PopularityBasedSampler(STEEP.size - 1, 0, 6, distribution=STEEP)
    layer = PopularityBasedSampler(STEEP.size - 1, 0, 1, distribution=STEEP)
    with pytest.raises(PopSamplerError, match="6 distinct"):
        layer.set_max_num_samples(6)
    assert layer.max_num_samples == 1
    assert layer.sample_ids().shape == (1,)
    assert layer.expected_count([0]) == layer.probability([0])
    repeated = PopularityBasedSampler(STEEP.size - 1, 0, 6, distribution=STEEP, unique=False)
    assert repeated.sample_ids().shape == (6,)


@pytest.mark.parametrize("size", [10, 1000, 1_000_000])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_expected_counts_sum_to_the_number_of_samples(size, share):
    num = min(int(share * size), 100_000)
    layer = PopularityBasedSampler(size + 2, 3, num)
    expected_counts = layer.expected_count(tf.range(3, size + 3, dtype=tf.int64)).numpy()
    assert expected_counts.sum(dtype=np.float64) == pytest.approx(num, rel=1e-5)
    assert expected_counts.min() > 0
    if share == 1.0 and num == size:
        np.testing.assert_array_equal(expected_counts, 1)


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_ids_that_are_never_drawn_get_no_correction(distribution, unique):
    outside = [-5, 0, 1, 2, 15, 10**12]
    np.testing.assert_array_equal(
        sampler(distribution=DISTRIBUTIONS[distribution], unique=unique).expected_count(
            tf.constant(outside, tf.int64)
        ),
        1,
    )


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64"])
def test_ids_of_any_integer_type_and_shape(dtype):
    layer = sampler()
    ids = tf.constant([[[3], [14]], [[2], [7]]], dtype)
    expected_counts = layer.expected_count(ids)
    assert expected_counts.shape == ids.shape
    np.testing.assert_array_equal(
        tf.reshape(expected_counts, [-1]), layer.expected_count(np.array([3, 14, 2, 7]))
    )
    with pytest.raises(PopSamplerError, match="integer"):
        layer.expected_count(tf.constant([3.0]))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
def test_expected_counts_and_draws_are_the_same_under_every_precision(policy):
    expected = sampler(max_num_samples=5).sampled_values(tf.range(15)[:, None])
    before = tf.keras.mixed_precision.global_policy() if hasattr(
        tf.keras.mixed_precision, "global_policy") else tf.keras.config.dtype_policy()  # fmt: skip
    set_policy = (
        getattr(tf.keras.mixed_precision, "set_global_policy", None)
        or tf.keras.config.set_dtype_policy
    )
    set_policy(policy)
    try:
        layer = sampler(max_num_samples=5)
        called = layer(tf.range(15)[:, None])
    finally:
        set_policy(before)
    for ours, plain in zip(called, expected):
        assert ours.dtype == plain.dtype
        np.testing.assert_array_equal(ours, plain)


def test_max_num_samples_is_priced_anew_and_takes_effect_at_the_next_trace():
    layer = sampler()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer.set_max_num_samples(4)
    function = tf.function(layer.sample_ids)
    assert function().shape == (4,)
    with pytest.warns(UserWarning, match="compile the model again"):
        layer.set_max_num_samples(12)
    assert function().shape == (4,)
    assert layer.sample_ids().shape == (12,)
    assert layer.max_num_samples == layer.get_config()["max_num_samples"] == 12
    np.testing.assert_array_equal(layer.expected_count(tf.range(15)), 1)
    with pytest.raises(PopSamplerError, match="at most 12"):
        layer.set_max_num_samples(13)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_id": 2, "min_id": 3}, "at least one item"),
        ({"max_id": 1, "min_id": 3}, "min_id <= max_id"),
        ({"min_id": -1}, "min_id"),
        ({"max_id": 9.5}, "max_id"),
        ({"max_id": "9"}, "max_id"),
        ({"max_num_samples": 0}, "max_num_samples"),
        ({"max_num_samples": -1}, "max_num_samples"),
        ({"max_num_samples": 2.5}, "max_num_samples"),
        ({"max_num_samples": True}, "max_num_samples"),
        ({"max_num_samples": 8}, "at most 7 unique"),
        ({"seed": "x"}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"distribution": "zipf"}, "zipf"),
        ({"distribution": "auto"}, "auto"),
        ({"distribution": "empirical"}, "from_schema"),
        ({"distribution": LogUniform(8)}, "over the 7 ids 3 to 9"),
        ({"unique": "False"}, "unique to be True or False"),
        ({"share_across_replicas": None}, "share_across_replicas to be True or False"),
    ],
)
def test_what_cannot_be_right_is_refused_at_construction(settings, message):
    with pytest.raises(PopSamplerError, match=message):
        PopularityBasedSampler(**{"max_id": 9, "min_id": 3, "max_num_samples": 7, **settings})


def test_integers_of_other_libraries_are_fine():
    layer = PopularityBasedSampler(
        max_id=np.int64(9), min_id=3.0, max_num_samples=np.int32(7), seed=np.uint64(2**63)
    )
    config = layer.get_config()
    assert {type(config[name]) for name in ("max_id", "min_id", "max_num_samples", "seed")} == {int}


def test_from_a_schema():
    metadata = PopularityMetadata.from_counts(np.array(COUNTS), 3, "counted", 256)
    column = ColumnSchema(
        "product", tags=["item_id"], properties={"popularity": metadata.to_dict()}
    )
    schema = Schema([column])
    layer = PopularityBasedSampler.from_schema(schema, max_num_samples=7, name="negatives", seed=1)
    assert (layer.min_id, layer.max_id, layer.item_id_feature_name) == (3, 14, "product")
    assert (layer.distribution, layer.max_num_samples, layer.name) == (
        DISTRIBUTIONS["empirical"],
        7,
        "negatives",
    )
    distorted = PopularityBasedSampler.from_schema(
        schema, "product", distortion=0.5, max_num_samples=7, unique=False
    )
    assert (distorted.distribution, distorted.unique) == (DISTRIBUTIONS["distorted"], False)
    with pytest.raises(PopSamplerError, match="at most 12 unique"):
        PopularityBasedSampler.from_schema(schema)


def test_repeated_draws_may_outnumber_the_items():
    assert PopularityBasedSampler(9, 3, 50, 17, unique=False).sample_ids().shape == (50,)


def test_a_domain_of_one_item():
    layer = PopularityBasedSampler(3, 3, 1)
    np.testing.assert_array_equal(layer.sample_ids(), [3])
    np.testing.assert_array_equal(layer.expected_count([2, 3, 4]), [1, 1, 1])


# --- the layer quartet -------------------------------------------------------------------------


def test_call():
    sampled, true_counts, sampled_counts = sampler()(tf.constant([[3], [1], [14]]))
    assert sampled.dtype == tf.int64
    assert sampled.shape == sampled_counts.shape == (5,)
    assert true_counts.shape == (3, 1)
    assert true_counts.dtype == sampled_counts.dtype == tf.float32
    twin = sampler()
    np.testing.assert_array_equal(twin.sample_ids(), sampled)
    # A vector unit rounds the last ids of an array in another way.
    np.testing.assert_allclose(twin.expected_count(sampled), sampled_counts, rtol=1e-6)


def in_a_model(layer):
    inputs = tf.keras.Input((1,), dtype="int64")
    return tf.keras.Model(inputs, layer(inputs))


def test_ids_drawn_beside_a_functional_model_are_its_constants():
    """A call with an input draws at each call of the model; one without draws while it is built."""
    drawn, inputs = sampler(max_num_samples=5, seed=7), tf.keras.Input([], dtype="int64")
    table = tf.keras.layers.Embedding(drawn.max_id + 1, 2)
    ids, _, _ = drawn.sampled_values(inputs)
    both = tf.keras.layers.Concatenate(axis=0)([table(ids), table(drawn.sample_ids())])
    model = tf.keras.Model(inputs, both)
    first, second = (np.asarray(model(tf.constant([3, 4]))) for _ in range(2))
    assert not np.array_equal(first[:5], second[:5])
    assert np.array_equal(first[5:], second[5:])


def test_predict():
    sampled, true_counts, _ = in_a_model(sampler()).predict(np.array([[3], [1]]), verbose=0)
    np.testing.assert_array_equal(sampled, sampler().sample_ids())
    np.testing.assert_array_equal(true_counts, sampler().expected_count([[3], [1]]))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_config_round_trip(distribution):
    layer = sampler(
        distribution=DISTRIBUTIONS[distribution],
        unique=False,
        share_across_replicas=True,
        item_id_feature_name="product",
    )
    config = json.loads(json.dumps(layer.get_config()))
    again = PopularityBasedSampler.from_config(config)
    assert again.get_config() == layer.get_config()
    assert again.distribution == DISTRIBUTIONS[distribution]
    np.testing.assert_array_equal(again.sample_ids(), layer.sample_ids())
    through_keras = tf.keras.layers.deserialize(tf.keras.layers.serialize(layer))
    assert type(through_keras) is PopularityBasedSampler
    assert through_keras.get_config() == layer.get_config()


def test_the_measured_distribution_in_the_config_stays_short():
    counts = np.sort(np.random.default_rng(0).zipf(1.3, 200_000))[::-1].clip(max=10**6)
    layer = PopularityBasedSampler(
        200_002, 3, distribution=Empirical(PopularityCurve.from_counts(counts))
    )
    assert len(json.dumps(layer.get_config())) < 8_000


@pytest.mark.parametrize("distribution", ["log_uniform", "distorted"])
def test_saved_model_round_trip(distribution, tmp_path):
    model = in_a_model(sampler(distribution=DISTRIBUTIONS[distribution]))
    model.predict(np.array([[3]]), verbose=0)
    if hasattr(tf.keras, "Variable"):
        model.save(f"{tmp_path}/m.keras")
        again = tf.keras.models.load_model(f"{tmp_path}/m.keras")
    else:
        model.save(f"{tmp_path}/m", save_format="tf")
        again = tf.keras.models.load_model(f"{tmp_path}/m")
    assert type(again.layers[-1]) is PopularityBasedSampler
    assert again.layers[-1].distribution == DISTRIBUTIONS[distribution]
    for expected, answer in zip(
        model.predict(np.array([[4]]), verbose=0), again.predict(np.array([[4]]), verbose=0)
    ):
        np.testing.assert_array_equal(answer, expected)


def test_a_saved_model_carries_no_table_of_the_catalog(tmp_path):
    module = tf.Module()
    module.sampler = PopularityBasedSampler(1_000_000_002, 3)
    module.values = tf.function(
        module.sampler.sampled_values, input_signature=[tf.TensorSpec([None, 1], tf.int64)]
    )
    tf.saved_model.save(module, str(tmp_path))
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 300_000


@pytest.mark.parametrize("name", ["draw_ranks", "expected_count"])
def test_autograph_does_not_rewrite_what_needs_no_rewriting(name, monkeypatch):
    """The function of another module is called from the sampler's own file."""
    called, callers = getattr(sampler_module, name), []

    def recorded(*args):
        callers.append(sys._getframe(1).f_code.co_filename)
        return called(*args)

    monkeypatch.setattr(sampler_module, name, recorded)
    layer = PopularityBasedSampler(max_id=9, max_num_samples=4)

    @tf.function
    def step():
        return layer.expected_count(layer.sample_ids())

    step()
    assert set(callers) == {sampler_module.__file__}


@pytest.mark.keras2  # Keras 3 itself calls its layers without AutoGraph
def test_autograph_rewrites_what_a_subclass_overrides():
    class Shifted(PopularityBasedSampler):
        def sample_ids(self):
            ids = super().sample_ids()
            if tf.reduce_min(ids) >= 0:  # an `if` over a tensor
                ids -= 100
            return ids

    layer = Shifted(max_id=9, max_num_samples=4)

    @tf.function
    def step():
        return layer(tf.constant([3]))[0]

    assert step().numpy().max() < 0


@pytest.mark.parametrize("answer", ["sample_ids", "counts", None])
def test_an_unknown_answer_is_refused(answer):
    layer = sampler()
    with pytest.raises(PopSamplerError, match="answer.*'expected_count'.*Received"):
        layer(tf.constant([3, 4]), answer=answer)
