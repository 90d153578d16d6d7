"""Probability of one draw of ids: what in-batch negatives are corrected by."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from merlin_popsampler import PopSamplerError
from merlin_popsampler.tf.sampler import PopularityBasedSampler
from tests.support.draws import batches_drawn
from tests.support.small_catalog import DISTRIBUTIONS, ORACLES, sampler


def by_hand(distribution, ids):
    """Zero outside ids 3 to 14."""
    probs = np.zeros(20)
    probs[3:15] = ORACLES[distribution]
    return probs[np.asarray(ids)]


@pytest.mark.parametrize("unique", [True, False])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_it_is_the_distribution_of_one_draw_whatever_the_batch(distribution, unique):
    ids = np.array([[0, 3, 14], [15, 7, 2]])
    for num_sampled in (1, 5, 12):
        layer = sampler(
            distribution=DISTRIBUTIONS[distribution], unique=unique, max_num_samples=num_sampled
        )
        found = layer.probability(ids)
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, by_hand(distribution, ids), rtol=1e-6)
    assert batches_drawn(layer) == 0
    layer.set_max_num_samples(3)
    np.testing.assert_array_equal(layer.probability(ids), found)
    np.testing.assert_array_equal(layer.probability([-7, 10**12]), [0, 0])


@pytest.mark.parametrize("distribution", ["log_uniform", "empirical"])
@pytest.mark.parametrize("compiled", [False, True])
def test_graphs_answer_as_eager_mode(distribution, compiled):
    layer = sampler(distribution=DISTRIBUTIONS[distribution])
    ids = tf.constant([[0, 3], [14, 99]])
    graph = tf.function(layer.probability, jit_compile=compiled)
    np.testing.assert_allclose(graph(ids), layer.probability(ids), rtol=1e-6)


def test_a_graph_of_the_first_tensorflow():
    with tf.Graph().as_default():
        probs = sampler(distribution=DISTRIBUTIONS["empirical"]).probability(
            tf.constant([0, 3, 14, 15])
        )
        with tf.compat.v1.Session() as session:
            found = session.run(probs)
    np.testing.assert_allclose(found, by_hand("empirical", [0, 3, 14, 15]), rtol=1e-6)


def test_ragged_ids_have_ragged_probabilities():
    ids = tf.ragged.constant([[3, 0], [], [14]], dtype=tf.int64)
    found = sampler(distribution=DISTRIBUTIONS["empirical"]).probability(ids)
    assert found.row_lengths().numpy().tolist() == [2, 0, 1]
    np.testing.assert_allclose(found.flat_values, by_hand("empirical", [3, 0, 14]), rtol=1e-6)


def test_an_input_of_a_model_makes_the_sampler_its_layer(tmp_path):
    inputs = tf.keras.Input([2], dtype="int64")
    layer = sampler(distribution=DISTRIBUTIONS["empirical"])
    model = tf.keras.Model(inputs, layer.probability(inputs))
    assert any(part is layer for part in model.layers)
    ids = np.array([[3, 0], [14, 7]])
    model.save(tmp_path / "m.keras")
    again = tf.keras.models.load_model(tmp_path / "m.keras")
    for asked in (model, again):
        found = asked.predict(ids, verbose=0)
        np.testing.assert_allclose(found, by_hand("empirical", ids), rtol=1e-6)
    assert batches_drawn(layer) == 0


def test_ids_are_integers():
    with pytest.raises(PopSamplerError, match="integer"):
        sampler().probability([3.0])
    with pytest.raises(PopSamplerError, match="dense or a ragged"):
        sampler().probability(None)


def test_a_billion_items():
    layer = PopularityBasedSampler(10**9 + 2, 3, 1000)
    ids = np.array([0, 2, 3, 4, 10**6, 10**9 + 2, 10**9 + 3])
    ranks = ids[2:-1] - 3.0
    expected = 2 * np.arctanh(1 / (2 * ranks + 3)) / np.log(1e9 + 1)
    found = layer.probability(ids).numpy()
    np.testing.assert_allclose(found[2:-1], expected, rtol=1e-6)
    np.testing.assert_array_equal(found[[0, 1, -1]], 0)


def test_in_batch_counts_are_what_batches_hold(rng):
    """Other rows of a batch hold an id as often as its probability says."""
    layer = sampler(distribution=DISTRIBUTIONS["empirical"])
    batches = 3 + rng.choice(12, size=(20_000, 8), p=ORACLES["empirical"])
    found = np.bincount(batches[:, 1:].ravel(), minlength=15)[3:] / len(batches)
    expected = 7 * layer.probability(np.arange(3, 15)).numpy()
    assert (np.abs(found - expected) < 6 * np.sqrt(expected / len(batches))).all()
