"""The layer in TensorFlow's own losses, graphs and pipelines."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")


from merlin_popsampler.errors import PopSamplerError
from tests.support.small_catalog import DISTRIBUTIONS, ORACLES, sampler


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


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_all_items_sampled_is_the_full_softmax(distribution, rng):
    layer = sampler(distribution=DISTRIBUTIONS[distribution], max_num_samples=12)
    table = tf.constant(rng.normal(size=(15, 4)), tf.float32)
    inputs = tf.constant(rng.normal(size=(6, 4)), tf.float32)
    true_ids = tf.constant([[3], [4], [14], [9], [9], [5]], tf.int64)
    full = tf.nn.sparse_softmax_cross_entropy_with_logits(
        true_ids[:, 0] - 3, tf.matmul(inputs, table[3:], transpose_b=True)
    )
    loss = sampled_softmax(layer, true_ids, inputs, table, 15)
    np.testing.assert_allclose(loss, full, rtol=2e-5)
    # negative control: other expected counts give another loss
    sampled, true_counts, counts = layer.sampled_values(true_ids)
    wrong = sampled_softmax(layer, true_ids, inputs, table, 15, (sampled, true_counts / 2, counts))
    assert np.abs(wrong - full).max() > 0.01


def test_training_a_table_in_plain_tensorflow_lowers_the_full_loss(rng):
    true_ids = tf.constant(rng.choice(np.arange(3, 15), 2000, p=ORACLES["empirical"])[:, None])
    layer, table = sampler(distribution=DISTRIBUTIONS["empirical"]), tf.Variable(tf.zeros([15, 1]))
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


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_compiled_by_xla_the_draws_are_the_same(distribution):
    plain, compiled = (
        sampler(distribution=DISTRIBUTIONS[distribution]),
        sampler(distribution=DISTRIBUTIONS[distribution]),
    )
    function = tf.function(compiled.sampled_values, jit_compile=True)
    ids = tf.range(15, dtype=tf.int64)[:, None]
    for _ in range(3):
        sampled, true_counts, counts = function(ids)
        np.testing.assert_array_equal(sampled, plain.sample_ids())
        np.testing.assert_allclose(true_counts, plain.expected_count(ids), rtol=1e-6)
        np.testing.assert_allclose(counts, plain.expected_count(sampled), rtol=1e-6)


def expected_count(layer, ids):
    return layer.expected_count(ids)


def test_an_error_in_a_trace_keeps_its_type():
    """TensorFlow turns unknown errors in converted code into one of its own."""
    with pytest.raises(PopSamplerError, match="integer"):
        tf.function(expected_count)(sampler(), tf.constant([3.0]))
