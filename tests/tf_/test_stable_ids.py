"""Keras samplers from a schema whose ids keep their numbers."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from merlin_popsampler import IdMap, PopularityBasedSampler, SchemaError
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.tf import InBatch, Mixture, SampledSoftmax, warm_start
from tests.support.stable_ids import BY_RANK, GONE, P, check_drawn, data_set


@pytest.fixture
def folder(tmp_path):
    return data_set(tmp_path)


def test_counts_are_exact_and_those_that_are_gone_get_no_correction(folder):
    sampler = PopularityBasedSampler.from_schema(folder, max_num_samples=4, unique=False)
    expected = np.where(P > 0, 4 * P, 1.0)
    np.testing.assert_allclose(sampler.expected_count(range(16)), expected, rtol=1e-6)
    np.testing.assert_allclose(sampler.probability(range(16)), P, rtol=1e-6)
    np.testing.assert_allclose(sampler.get_distribution_probs(), P[:15], rtol=1e-6)
    assert [*P[GONE], *sampler.expected_count(GONE).numpy()] == [0.0] * 4 + [1.0] * 4


@pytest.mark.parametrize("unique", [True, False])
def test_what_is_gone_is_never_drawn_and_all_else_is(unique, folder):
    sampler = PopularityBasedSampler.from_schema(folder, max_num_samples=9, seed=17, unique=unique)
    draw = tf.function(sampler.sample_ids)
    drawn = np.concatenate([draw().numpy() for _ in range(1000)])
    check_drawn(drawn, unique)


def test_the_file_is_read_once(folder):
    sampler = PopularityBasedSampler.from_schema(folder, max_num_samples=4, seed=17)
    again = PopularityBasedSampler.from_schema(folder, max_num_samples=4, seed=17)
    (folder / "ranks.item_id.int32").unlink()
    config = sampler.get_config()
    copy = PopularityBasedSampler.from_config(config)
    copy.set_weights(sampler.get_weights())
    for _ in range(3):
        expected = again.sample_ids().numpy().tolist()
        assert sampler.sample_ids().numpy().tolist() == expected
        assert copy.sample_ids().numpy().tolist() == expected
    with pytest.raises(SchemaError, match="file of its ids by rank"):
        PopularityBasedSampler.from_schema(folder, max_num_samples=4)


def test_negatives_of_the_batch_go_by_the_same_ids(folder):
    in_batch = InBatch.from_schema(folder)
    np.testing.assert_allclose(in_batch.expected_count(range(16), 5), 4 * P, rtol=1e-6)
    mixture = Mixture([PopularityBasedSampler.from_schema(folder, max_num_samples=4), in_batch])
    assert mixture.domain.in_numpy().ids.tolist() == BY_RANK


def test_a_warm_start_enlarges_the_table_and_goes_on_drawing(folder):
    """The identity of ids 0 to 12, which the earlier fit had; 13 to 15 are new."""
    ids = IdMap(range(13), IdDomain(3, 12), IdDomain(3, 15))

    def make(domain, negatives):
        tf.keras.utils.set_random_seed(domain.max_id)
        true_ids = tf.keras.Input([], dtype="int64")
        items = tf.keras.layers.Embedding(domain.cardinality, 4, name="items")
        losses = SampledSoftmax(negatives)(items(true_ids), true_ids, items)
        return tf.keras.Model(true_ids, losses)

    negatives = [
        [
            PopularityBasedSampler.from_schema(folder, max_num_samples=4, seed=17),
            InBatch.from_schema(folder),
        ]
        for _ in "12"
    ]
    before = [
        PopularityBasedSampler(12, 3, 4, seed=17),
        InBatch.from_counts(np.arange(13, 0, -1), reserved_ids=[0, 1, 2]),
    ]
    old, new = make(ids.old, before), make(ids.new, negatives[0])
    for sampler in (before[0], negatives[1][0]):
        sampler.sample_ids()
    report = warm_start(new, old, {"items": ids})
    assert list(report.tables) == ["items/embeddings"]
    rows = new.get_layer("items").get_weights()[0]
    np.testing.assert_array_equal(rows[:13], old.get_layer("items").get_weights()[0])
    assert np.array_equal(negatives[0][0].sample_ids(), negatives[1][0].sample_ids())
