"""Checks ranks and recall of the output and of Merlin Models' metrics on three small models."""

import numpy as np
import pytest

pytestmark = pytest.mark.merlin_models
pytest.importorskip("merlin.models", reason="needs merlin.models")
tf = pytest.importorskip("tensorflow")

import merlin.models.tf as mm
from merlin.schema import ColumnSchema, Tags

from merlin_popsampler.tf import PopularityBasedSampler, whole_catalog
from merlin_popsampler.tf.merlin_models import ContrastiveOutput
from merlin_popsampler.tf.merlin_models.log_probabilities import CandidateCrossEntropy
from tests.support import ranking_cases
from tests.support.contrastive_models import (
    ITEM,
    compiled,
    features,
    items_tower,
    loader,
    sampler,
    with_a_table,
)
from tests.support.ranking_cases import DIM, MAX_ID, MIN_ID, MODELS, TOP_K

TIMES = 100
MODES = {
    "on the catalog": ("catalog", {"testing": True}),
    "on candidates": ("candidates", {"testing": True}),
    "in training": ("catalog", {"training": True}),
}


def output_on(table, evaluate_on):
    """On six items, all of which are candidates."""
    domain = {"domain": {"min": 0, "max": MAX_ID, "name": "item"}}
    column = ColumnSchema("item", [Tags.ITEM_ID, Tags.CATEGORICAL], domain, np.int64)
    source = PopularityBasedSampler(MAX_ID, MIN_ID, 6, seed=17)
    output = ContrastiveOutput(column, source, evaluate_on=evaluate_on, top_k=TOP_K)
    output.build([None, DIM])
    output.to_call.kernel.assign(table.T)
    return output


def answered(name, mode):
    evaluate_on, arguments = MODES[mode]
    output = output_on(MODELS[name][0], evaluate_on)
    query = tf.constant(np.tile(ranking_cases.QUERIES, (TIMES, 1)))
    ids = tf.constant(np.tile(ranking_cases.TRUE_IDS, TIMES))
    prediction = output(query, features={}, targets=ids, **arguments)
    return prediction, {metric.name: float(metric.result()) for metric in output.metrics}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MODELS)
def test_recalls_of_small_models_by_hand(name, mode):
    """Regression: NaN and ties, over the catalog, candidates and in training."""
    prediction, found = answered(name, mode)
    assert found[f"recall_at_{TOP_K}"] == MODELS[name][2]
    loss = CandidateCrossEntropy()(prediction.targets, prediction.outputs)
    not_finite = name in {"NaN", "infinite"}
    assert np.isnan(loss) == np.isnan(found["cross_entropy"]) == not_finite


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "metric", [mm.RecallAt, mm.NDCGAt, mm.MRRAt, mm.PrecisionAt, mm.AvgPrecisionAt]
)
def test_merlin_models_metrics_of_small_models(metric, name, mode):
    """Regression: among candidates, Merlin's metrics break ties by chance."""
    prediction, _ = answered(name, mode)
    metric = metric(TOP_K)
    metric.update_state(prediction.targets, prediction.outputs)
    best = 0.5 if isinstance(metric, mm.PrecisionAt) else 1.0
    recall = MODELS[name][2]
    if recall == 0.0 and mode != "on the catalog" and name in {"constant", "zero"}:
        assert 0.0 < float(metric.result()) < 0.6 * best
    else:
        assert float(metric.result()) == pytest.approx(recall * best)


@pytest.mark.parametrize("mode", ["on the catalog", "on candidates"])
def test_a_fitted_model_of_nan_reports_no_hits_and_its_nan(mode):
    """Regression: NaN in `evaluate`, where Keras's containers keep the loss."""
    settings = {"evaluate_on": MODES[mode][0], "top_k": 2}
    model, output = with_a_table(**settings)
    compiled(model, metrics=[mm.RecallAt(2), mm.NDCGAt(2)])
    model.fit(loader(), verbose=0)
    output.to_call.kernel.assign(np.nan * output.to_call.kernel)
    found = model.evaluate(loader(), return_dict=True, verbose=0)
    assert found["recall_at_2"] == found["ndcg_at_2"] == 0.0
    assert np.isnan(found["loss"]) and np.isnan(found["cross_entropy"])


class Unit(tf.keras.layers.Embedding):
    def call(self, inputs):
        return tf.math.l2_normalize(super().call(inputs), -1)


@pytest.mark.parametrize("table", [tf.keras.layers.Embedding, Unit])
def test_an_embedding_table_s_own_look_up_is_evaluated(monkeypatch, table):
    """Regression: Merlin's `EmbeddingTable` holds a table with its own `call`."""
    monkeypatch.setattr(whole_catalog, "BLOCK_BYTES", 5 * 4 * 4)
    inner = table(15, 4)
    items = mm.EmbeddingTable(4, ITEM.first, table=inner)
    output = ContrastiveOutput(items, sampler(max_num_samples=12))
    query = tf.random.stateless_normal([4, 4], [1, 2])
    ids = tf.constant([3, 9, 14, 5])
    answers = [
        output(query, features={}, targets=ids, **{mode: True}) for mode in ("training", "testing")
    ]
    scores = tf.matmul(query, inner(tf.range(3, 15)), transpose_b=True)
    expected = tf.nn.sparse_softmax_cross_entropy_with_logits(ids - 3, scores)
    for found in answers:
        np.testing.assert_allclose(-found.outputs[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("sources", [["a sampler"], ["in-batch"], ["a sampler", "in-batch"]])
def test_nan_features_of_rows_that_do_not_count_reach_no_other(sources):
    """The vectors of padded rows are negatives of the remaining rows, under a mask."""
    negatives = [sampler() if source == "a sampler" else source for source in sources]
    tower = items_tower()
    settings = {"item_features": features(), "schema": ITEM, "candidate": tower}
    output = ContrastiveOutput(None, negatives, **settings)
    vectors = np.random.default_rng(17).normal(size=(2, 4, 4)).astype(np.float32)
    vectors[:, 2:] = np.nan
    query, items = tf.Variable(vectors[0]), tf.Variable(vectors[1])
    ids = tf.constant([[3], [9], [2], [99]], tf.int64)
    with tf.GradientTape() as tape:
        inputs = {"query": query, "candidate": items}
        prediction = output(inputs, features={"item": ids}, targets=None, training=True)
        loss = CandidateCrossEntropy()(prediction.targets, prediction.outputs)
    assert np.isfinite(loss)
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(loss, [query, items]))
