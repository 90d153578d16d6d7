"""Checks `ContrastiveOutput` and `ItemFeatures` with the user's own ids, in any order."""

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.merlin_models
pytest.importorskip("merlin.models", reason="needs merlin.models")
tf = pytest.importorskip("tensorflow")

from merlin.io import Dataset
from merlin.schema import ColumnSchema, Schema, Tags

from merlin_popsampler import PopSamplerError
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.tf import InBatch, PopularityBasedSampler
from merlin_popsampler.tf.merlin_models import ContrastiveOutput, ItemFeatures
from tests.support.mapped_items import IDS, ITEMS, UNKNOWN, by_id, by_rank

VECTORS = np.random.default_rng(3).normal(size=[ITEMS, 4]).astype(np.float32)
QUERY = np.random.default_rng(4).normal(size=[5, 4]).astype(np.float32)
TRUE_RANKS = np.array([0, 7, 299, 41])


def item_column(rows):
    domain = {"domain": {"min": 0, "max": rows - 1, "name": "item"}}
    return ColumnSchema("item", [Tags.ITEM_ID, Tags.CATEGORICAL], domain, np.int64)


def answers(make, vectors, ids, unknown):
    negatives = [make(PopularityBasedSampler, max_num_samples=40, seed=17), make(InBatch)]
    output = ContrastiveOutput(item_column(len(vectors)), negatives)
    output.build([None, 4])
    output.to_call.kernel.assign(vectors.T)
    targets = tf.constant(np.append(ids[TRUE_RANKS], unknown))
    step = {"features": {}, "targets": targets}
    trained = output(tf.constant(QUERY), training=True, **step)
    tested = output(tf.constant(QUERY), testing=True, **step)
    return trained.outputs, trained.targets, tested.outputs, tested.targets


def test_training_and_evaluation_follow_the_permutation():
    by_ids = np.zeros([400, 4], np.float32)
    by_ids[IDS] = VECTORS
    expected = answers(by_rank, VECTORS, np.arange(ITEMS), ITEMS + 3)
    for found, wanted in zip(answers(by_id, by_ids, IDS, UNKNOWN[2]), expected):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_features_of_items_are_found_by_their_own_ids():
    sampler = by_id(PopularityBasedSampler, max_num_samples=40)
    brand = ColumnSchema("brand", [Tags.CATEGORICAL], {"domain": {"min": 0, "max": 999}}, np.int64)
    schema = Schema([item_column(400), brand])
    frame = pd.DataFrame({"item": np.arange(400)}).assign(brand=lambda rows: rows["item"] + 500)
    items = Dataset(frame, cpu=True, schema=schema)
    table = ItemFeatures.from_dataset(items, schema, domain=sampler.domain)
    assert table.features(IDS)["brand"].numpy().tolist() == (IDS + 500).tolist()
    assert not table.features(UNKNOWN)["brand"].numpy().any()
    table.check_serves(by_id(InBatch).domain)
    with pytest.raises(PopSamplerError, match="Expected features of the ids"):
        table.check_serves(IdDomain(3, 40))
    with pytest.raises(PopSamplerError, match=f"none for {IDS[0]}"):
        fewer = Dataset(frame[frame["item"] != IDS[0]], cpu=True, schema=schema)
        ItemFeatures.from_dataset(fewer, schema, domain=sampler.domain)
