"""Tests that query layers agree in training and serving, and that models start popular."""

import sys
from pathlib import Path

import numpy as np
import pytest
from merlin.schema import ColumnSchema, Schema, Tags

from merlin_popsampler import PopularityMetadata
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.distributions import PopularityCurve
from tests.support.small_catalog import COUNTS

pytestmark = pytest.mark.merlin_models
sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
pytest.importorskip("tqdm")
pytest.importorskip("merlin.models.tf")

import models
import tensorflow as tf

LENGTHS = (2, 5, 3)


def vectors_of(rng):
    """Returns item vectors of three sessions, `[items, 4]`, and ragged by session."""
    items = rng.normal(size=(sum(LENGTHS), 4)).astype(np.float32)
    return np.split(items, np.cumsum(LENGTHS)[:-1]), tf.RaggedTensor.from_row_lengths(
        items, LENGTHS
    )


def asked(layer, *queries):
    """Computes the queries of sessions outside of training."""
    rows = tf.RaggedTensor.from_row_lengths(np.concatenate(queries), [len(q) for q in queries])
    return layer(rows, training=False).numpy()


def test_every_item_is_asked_for_by_the_others(rng):
    layer = models.MeanOfOthers()
    sessions, ragged = vectors_of(rng)
    others = [np.delete(items, i, axis=0) for items in sessions for i in range(len(items))]
    trained = layer(ragged, training=True).numpy()
    assert np.allclose(trained, asked(layer, *others), atol=1e-6)
    assert np.allclose(trained[:2], sessions[0][::-1], atol=1e-6)
    assert np.allclose(asked(layer, *sessions), [items.mean(axis=0) for items in sessions])
    assert np.array_equal(models.MeanOfOthers(each=True)(ragged), trained)


def test_every_item_but_the_first_is_asked_for_by_those_before_it(rng):
    layer = models.NextItem(3)
    sessions, ragged = vectors_of(rng)
    before = [items[:i] for items in sessions for i in range(1, len(items))]
    trained = layer(ragged, training=True).numpy()
    assert np.allclose(trained, asked(layer, *before), atol=1e-6)
    assert trained.shape == (sum(LENGTHS) - len(LENGTHS), 3)
    popular = tf.RaggedTensor.from_row_lengths(ragged.values + [0, 0, 0, 9], LENGTHS)
    assert np.allclose(trained, layer(popular, training=True))


@pytest.mark.parametrize("layer", [models.MeanOfOthers(), models.NextItem(3)], ids=["mean", "next"])
def test_a_batch_may_have_no_session(layer):
    nothing = tf.RaggedTensor.from_row_lengths(tf.zeros([0, 4]), tf.constant([], tf.int64))
    assert len(layer(nothing, training=True)) == 0


POPULARITY = PopularityMetadata(
    3, 14, True, "counted", PopularityCurve.from_counts(COUNTS).to_text(IdDomain(3, 14))
)


def category(name, highest, *tags):
    column = ColumnSchema(name, tags=[Tags.CATEGORICAL, *tags], dtype=np.int64)
    return column.with_properties({"domain": {"min": 0, "max": highest, "name": name}})


def popular_items():
    return models.popular_items(category("item_id", 14, Tags.ITEM_ID), POPULARITY, 4)


def test_a_new_model_recommends_the_popular():
    """The last component of a query, 1, is multiplied by the log popularity of the item."""
    items = popular_items()
    query = models.WithOne()(tf.zeros([1, 4]))
    scores = tf.matmul(query, items.table.embeddings, transpose_b=True).numpy()[0]
    assert np.allclose(scores[3:], np.log(np.array(COUNTS) / sum(COUNTS)), atol=1e-5)
    assert 0 < np.abs(items.table.embeddings[:, :4]).max() <= 0.05
    assert items.table.trainable


def test_an_items_vector_is_its_row_and_what_its_features_add():
    items = popular_items()
    price = ColumnSchema("price", tags=[Tags.CONTINUOUS], dtype=np.float32)
    schema = Schema([category("item_id", 14, Tags.ITEM_ID), category("brand", 5), price])
    tower = models.item_tower(schema, items)
    features = {"item_id": [3, 14], "brand": [1, 5], "price": [0.5, -2.0]}
    features = {name: tf.constant(values) for name, values in features.items()}
    found = tower(features).numpy()
    (brands,) = (w.numpy() for w in tower.trainable_variables if w.shape == [6, 5])
    assert np.allclose(found, items.table.embeddings.numpy()[[3, 14]] + brands[[1, 5]], atol=1e-6)
    (of_price,) = (w for w in tower.trainable_variables if w.shape == [1, 5])
    of_price.assign([[1.0, 2.0, 3.0, 4.0, 5.0]])
    assert np.allclose(tower(features).numpy() - found, np.outer([0.5, -2.0], of_price), atol=1e-6)


def test_layers_come_back_from_their_configuration():
    for layer in (models.MeanOfOthers(each=True), models.NextItem(7), models.WithOne()):
        config = tf.keras.layers.serialize(layer)
        again = tf.keras.layers.deserialize(config)
        assert again.get_config() == layer.get_config()
