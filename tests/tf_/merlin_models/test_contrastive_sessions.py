"""The output of session models: ragged targets, and masks that say which of them are asked for."""

import numpy as np
import pytest

pytestmark = pytest.mark.merlin_models
pytest.importorskip("merlin.models", reason="needs merlin.models")
tf = pytest.importorskip("tensorflow")

import merlin.models.tf as mm
import pandas as pd
from merlin.io import Dataset
from merlin.schema import ColumnSchema, Schema, Tags

from merlin_popsampler.tf.merlin_models import ContrastiveOutput
from tests.support.contrastive_models import ITEM, MAX_ID, MIN_ID, compiled, exact, sampler
from tests.support.draws import batches_drawn

RNG = np.random.default_rng(17)
SESSIONS = [RNG.integers(2, MAX_ID + 1, RNG.integers(2, 6)) for _ in range(60)]  # 2 is reserved
TAGS = [Tags.ITEM_ID, Tags.ITEM, Tags.CATEGORICAL, Tags.SEQUENCE]
COLUMN = ColumnSchema("item", TAGS, ITEM["item"].properties, np.int64, dims=(None, (0, None)))
SCHEMA = Schema([COLUMN])


@tf.keras.utils.register_keras_serializable(package="popsampler_tests")
class AskedFor(tf.keras.layers.Layer):
    """The positions of the positives, by default the last one."""

    def call(self, inputs, targets=None, training=False, testing=False):
        if targets is None or not (training or testing):
            return tf.squeeze(inputs[:, -1:, :].to_tensor(), 1)
        mask = (targets["item"] if isinstance(targets, dict) else targets)._keras_mask
        return tf.ragged.boolean_mask(inputs, mask.with_row_splits_dtype(inputs.row_splits.dtype))

    def compute_output_shape(self, shape):
        return (shape[0], shape[-1])


def loader():
    return mm.Loader(
        Dataset(pd.DataFrame({"item": SESSIONS}), cpu=True, schema=SCHEMA), 16, shuffle=False
    )


def session_model(own_table):
    tf.keras.utils.set_random_seed(17)
    embeddings = mm.Embeddings(SCHEMA, dim=4, sequence_combiner=None)
    inputs = mm.InputBlockV2(SCHEMA, categorical=embeddings)
    output = ContrastiveOutput(SCHEMA if own_table else embeddings["item"], sampler(), top_k=3)
    query = mm.Encoder(inputs, mm.MLPBlock([4], no_activation_last_layer=True), AskedFor())
    return compiled(mm.RetrievalModelV2(query=query, output=output)), output


@pytest.mark.parametrize("own_table", [True, False], ids=["own table", "shared table"])
def test_every_position_asks_for_the_next_item(own_table, tmp_path):
    model, output = session_model(own_table)
    compiled(model, run_eagerly=not own_table)  # one of them trains in a graph
    following = mm.SequencePredictNext(schema=SCHEMA, target="item")
    model.fit(loader(), pre=following, verbose=0)
    assert batches_drawn(output.negative_samplers.sources[0]) == 4
    compiled(model, run_eagerly=True)
    found = model.evaluate(loader(), pre=following, return_dict=True, verbose=0)
    pairs = np.concatenate([np.stack([ids[:-1], ids[1:]], 1) for ids in SESSIONS])
    # The query of a position depends on its item alone, so sessions of one item give equal queries.
    single = {"item__values": tf.constant(pairs[:, 0]), "item__offsets": tf.range(len(pairs) + 1)}
    query = model.query_encoder(single).numpy()
    losses, better = exact(query, output.to_call.embeddings.numpy(), pairs[:, 1], 1.0)
    assert len(losses) < len(pairs)
    assert found["cross_entropy"] == pytest.approx(losses.mean(), rel=1e-4)
    assert found["recall_at_3"] == pytest.approx((better < 3).mean())
    if own_table:
        return
    model.save(str(tmp_path / "model"))
    reloaded = compiled(tf.keras.models.load_model(str(tmp_path / "model")))  # in a graph
    again = reloaded.evaluate(loader(), pre=following, return_dict=True, verbose=0)
    assert again["cross_entropy"] == pytest.approx(found["cross_entropy"], rel=1e-5)


def test_masked_positions_alone_count():
    output = ContrastiveOutput(SCHEMA, sampler())
    output.build([None, 4])
    ids = tf.ragged.constant([[[3], [9], [14]], [[4]], [[5], [2]]], ragged_rank=1, dtype=tf.int64)
    ids._keras_mask = tf.ragged.constant([[True, False, True], [True], [False, True]])
    query = tf.RaggedTensor.from_row_lengths(tf.random.stateless_normal([4, 4], [1, 2]), [2, 1, 1])
    prediction = output(query, features={}, targets=ids, training=True)
    output.set_negative_samplers(sampler())
    flat = tf.constant([3, 14, 4, 2], tf.int64)
    dense = output(query.flat_values, features={}, targets=flat, training=True)
    np.testing.assert_allclose(prediction.outputs, dense.outputs)
    np.testing.assert_array_equal(prediction.targets[:, 0], [1, 1, 1, 0])
    assert MIN_ID > 2
