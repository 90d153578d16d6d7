"""The layer: what it draws, what it says of it, and how Keras handles it."""

import json
import warnings

import numpy as np
import pytest

from tests.support import oracles
from tests.support import statistics_checks as checks

tf = pytest.importorskip("tensorflow")

from merlin_popsampler.core.laws import Empirical, LogUniform, Uniform
from merlin_popsampler.core.steps import Steps
from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.tf.sampler import PopularityBasedSampler

COUNTS = [300, 41, 41, 30, 9, 9, 9, 2, 1, 1, 1, 1]
LAWS = {
    "log_uniform": LogUniform(12),
    "empirical": Empirical(Steps.from_counts(COUNTS)),
    "distorted": Empirical(Steps.from_counts(COUNTS), 0.5),
    "uniform": Uniform(12),
}
ORACLES = {
    "log_uniform": oracles.log_uniform_probs(12),
    "empirical": np.array(COUNTS) / sum(COUNTS),
    "distorted": np.sqrt(COUNTS) / np.sqrt(COUNTS).sum(),
    "uniform": np.full(12, 1 / 12),
}


def sampler(**settings):
    settings = {"max_id": 14, "min_id": 3, "max_num_samples": 5, "seed": 17, **settings}
    return PopularityBasedSampler(**settings)


def many(layer, batches):
    """Batches of ranks, `[batches, max_num_samples]`, drawn in one graph."""
    loop = tf.function(
        lambda: tf.map_fn(
            lambda _: layer.sample_ids(), tf.zeros(batches), tf.int64, parallel_iterations=1
        )
    )
    return loop().numpy() - layer.min_id


@pytest.mark.parametrize("law", LAWS)
def test_repeated_draws_follow_the_law_to_both_ends(law):
    ranks = many(sampler(law=LAWS[law], unique=False, max_num_samples=500), 200)
    assert checks.follows(ranks, ORACLES[law])
    assert set(np.unique(ranks)) == set(range(12))
    wrong = [name for name in ORACLES if name != law]
    assert not any(checks.follows(ranks, ORACLES[name]) for name in wrong)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("num_sampled", [1, 5, 11])
def test_unique_draws_include_ids_as_often_as_they_are_priced(law, num_sampled):
    layer = sampler(law=LAWS[law], max_num_samples=num_sampled)
    ranks = many(layer, 4000)
    prices = layer.expected_count(tf.range(3, 15)).numpy()
    np.testing.assert_allclose(
        prices, oracles.enumerate_inclusion(ORACLES[law], num_sampled), rtol=1e-5
    )
    assert checks.includes(ranks, prices)
    assert set(np.unique(ranks)) == set(range(12))
    if law == "log_uniform" and num_sampled == 5:  # negative controls
        assert not checks.includes(ranks, np.roll(prices, 1))
        assert not checks.includes(ranks, 1 - (1 - ORACLES[law]) ** num_sampled)


@pytest.mark.parametrize("law", LAWS)
def test_distribution_probs_cover_min_id_to_max_id(law):
    probs = sampler(law=LAWS[law]).get_distribution_probs()
    assert probs.dtype == tf.float32
    assert probs.shape == (15,)
    np.testing.assert_array_equal(probs[:3], 0)
    np.testing.assert_allclose(probs[3:], ORACLES[law], rtol=1e-6)
    assert abs(np.sum(probs, dtype=np.float64) - 1) < 1e-6


def test_distribution_probs_of_a_large_catalog_sum_to_one():
    probs = PopularityBasedSampler(3_000_000, 3).get_distribution_probs().numpy()
    assert abs(probs.sum(dtype=np.float64) - 1) < 1e-6
    assert probs[3:].min() > 0


@pytest.mark.parametrize("size", [10, 1000, 1_000_000])
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_expected_counts_sum_to_the_number_of_samples(size, share):
    num = min(int(share * size), 100_000)
    layer = PopularityBasedSampler(size + 2, 3, num)
    prices = layer.expected_count(tf.range(3, size + 3, dtype=tf.int64)).numpy()
    assert prices.sum(dtype=np.float64) == pytest.approx(num, rel=1e-5)
    assert prices.min() > 0
    if share == 1.0 and num == size:
        np.testing.assert_array_equal(prices, 1)


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("law", LAWS)
def test_ids_that_are_never_drawn_get_no_correction(law, unique):
    outside = [-5, 0, 1, 2, 15, 10**12]
    np.testing.assert_array_equal(
        sampler(law=LAWS[law], unique=unique).expected_count(tf.constant(outside, tf.int64)), 1
    )


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64"])
def test_ids_of_any_integer_type_and_shape(dtype):
    layer = sampler()
    ids = tf.constant([[[3], [14]], [[2], [7]]], dtype)
    prices = layer.expected_count(ids)
    assert prices.shape == ids.shape
    np.testing.assert_array_equal(
        tf.reshape(prices, [-1]), layer.expected_count(np.array([3, 14, 2, 7]))
    )
    with pytest.raises(PopSamplerError, match="integer"):
        layer.expected_count(tf.constant([3.0]))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
def test_prices_and_draws_are_the_same_under_every_precision(policy):
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


# --- the layer quartet -------------------------------------------------------------------------


def test_call():
    sampled, true_counts, sampled_counts = sampler()(tf.constant([[3], [1], [14]]))
    assert sampled.dtype == tf.int64
    assert sampled.shape == sampled_counts.shape == (5,)
    assert true_counts.shape == (3, 1)
    assert true_counts.dtype == sampled_counts.dtype == tf.float32
    twin = sampler()
    np.testing.assert_array_equal(twin.sample_ids(), sampled)
    # A vector unit rounds the odd ids of an array otherwise than the others.
    np.testing.assert_allclose(twin.expected_count(sampled), sampled_counts, rtol=1e-6)


def in_a_model(layer):
    inputs = tf.keras.Input((1,), dtype="int64")
    return tf.keras.Model(inputs, layer(inputs))


def test_predict():
    sampled, true_counts, _ = in_a_model(sampler()).predict(np.array([[3], [1]]), verbose=0)
    np.testing.assert_array_equal(sampled, sampler().sample_ids())
    np.testing.assert_array_equal(true_counts, sampler().expected_count([[3], [1]]))


@pytest.mark.parametrize("law", LAWS)
def test_config_round_trip(law):
    layer = sampler(
        law=LAWS[law], unique=False, share_across_replicas=True, item_id_feature_name="product"
    )
    config = json.loads(json.dumps(layer.get_config()))
    again = PopularityBasedSampler.from_config(config)
    assert again.get_config() == layer.get_config()
    assert again.law == LAWS[law]
    np.testing.assert_array_equal(again.sample_ids(), layer.sample_ids())
    through_keras = tf.keras.layers.deserialize(tf.keras.layers.serialize(layer))
    assert type(through_keras) is PopularityBasedSampler
    assert through_keras.get_config() == layer.get_config()


def test_the_measured_law_in_the_config_stays_short():
    counts = np.sort(np.random.default_rng(0).zipf(1.3, 200_000))[::-1].clip(max=10**6)
    layer = PopularityBasedSampler(200_002, 3, law=Empirical(Steps.from_counts(counts)))
    assert len(json.dumps(layer.get_config())) < 8_000


@pytest.mark.parametrize("law", ["log_uniform", "distorted"])
def test_saved_model_round_trip(law, tmp_path):
    model = in_a_model(sampler(law=LAWS[law]))
    model.predict(np.array([[3]]), verbose=0)
    if hasattr(tf.keras, "Variable"):
        model.save(f"{tmp_path}/m.keras")
        again = tf.keras.models.load_model(f"{tmp_path}/m.keras")
    else:
        model.save(f"{tmp_path}/m", save_format="tf")
        again = tf.keras.models.load_model(f"{tmp_path}/m")
    assert type(again.layers[-1]) is PopularityBasedSampler
    assert again.layers[-1].law == LAWS[law]
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


# --- plain TensorFlow --------------------------------------------------------------------------


def sampled_softmax(layer, true_ids, inputs, table, num_classes, values=None):
    return tf.nn.sampled_softmax_loss(
        weights=table,
        biases=tf.zeros(num_classes),
        labels=true_ids,
        inputs=inputs,
        num_sampled=layer.max_num_samples,
        num_classes=num_classes,
        sampled_values=values or layer.sampled_values(true_ids),
    )


@pytest.mark.parametrize("law", LAWS)
def test_all_items_sampled_is_the_full_softmax(law, rng):
    layer = sampler(law=LAWS[law], max_num_samples=12)
    table = tf.constant(rng.normal(size=(15, 4)), tf.float32)
    inputs = tf.constant(rng.normal(size=(6, 4)), tf.float32)
    true_ids = tf.constant([[3], [4], [14], [9], [9], [5]], tf.int64)
    full = tf.nn.sparse_softmax_cross_entropy_with_logits(
        true_ids[:, 0] - 3, tf.matmul(inputs, table[3:], transpose_b=True)
    )
    loss = sampled_softmax(layer, true_ids, inputs, table, 15)
    np.testing.assert_allclose(loss, full, rtol=2e-5)
    # negative control: other prices give another loss
    sampled, true_counts, counts = layer.sampled_values(true_ids)
    wrong = sampled_softmax(layer, true_ids, inputs, table, 15, (sampled, true_counts / 2, counts))
    assert np.abs(wrong - full).max() > 0.01


def test_training_a_table_in_plain_tensorflow_lowers_the_full_loss(rng):
    true_ids = tf.constant(rng.choice(np.arange(3, 15), 2000, p=ORACLES["empirical"])[:, None])
    layer, table = sampler(law=LAWS["empirical"]), tf.Variable(tf.zeros([15, 1]))
    ones = tf.ones([2000, 1])

    def full():
        logits = tf.matmul(ones, table[3:], transpose_b=True)
        return tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(true_ids[:, 0] - 3, logits)
        )

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(sampled_softmax(layer, true_ids, ones, table, 15))
        gradient = tf.convert_to_tensor(tape.gradient(loss, table))
        table.assign_sub(0.5 * gradient)

    for _ in range(400):
        step()
    probs = ORACLES["empirical"]
    entropy = -np.sum(probs * np.log(probs))
    assert float(full()) < entropy + 0.05 < np.log(12)


def test_in_a_data_pipeline_each_element_has_draws_of_its_own():
    layer = sampler(max_id=400)
    dataset = tf.data.Dataset.range(3).map(lambda _: layer.sample_ids())
    twin = sampler(max_id=400)
    for batch in dataset:
        np.testing.assert_array_equal(batch, twin.sample_ids())


@pytest.mark.parametrize("law", LAWS)
def test_compiled_by_xla_the_draws_are_the_same(law):
    plain, compiled = sampler(law=LAWS[law]), sampler(law=LAWS[law])
    function = tf.function(compiled.sampled_values, jit_compile=True)
    ids = tf.range(15, dtype=tf.int64)[:, None]
    for _ in range(3):
        sampled, true_counts, counts = function(ids)
        np.testing.assert_array_equal(sampled, plain.sample_ids())
        np.testing.assert_allclose(true_counts, plain.expected_count(ids), rtol=1e-6)
        np.testing.assert_allclose(counts, plain.expected_count(sampled), rtol=1e-6)


def price(layer, ids):
    return layer.expected_count(ids)


def test_an_error_in_a_trace_keeps_its_type():
    """TensorFlow turns unknown errors in converted code into one of its own."""
    with pytest.raises(PopSamplerError, match="integer"):
        tf.function(price)(sampler(), tf.constant([3.0]))
