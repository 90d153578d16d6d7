"""A Keras sampler over the user's own ids is one over ranks whose draws NumPy maps."""

import copy
import json
import pickle
import time

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from tensorflow.python.framework import kernels

from merlin_popsampler import PopSamplerError, PopularityBasedSampler
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.distributions import Empirical, PopularityCurve
from merlin_popsampler.tf import InBatch, Mixture, SampledSoftmax
from tests.support.mapped_items import COUNTS, IDS, ITEMS, UNKNOWN, by_id, by_rank

KERAS3 = hasattr(tf.keras, "Variable")
SETTINGS = {"max_num_samples": 40, "seed": 17}
IN_ORDER = np.array([0, 90, 40, 40, 7, 7, 1])
WAYS = {
    "eager": lambda function: function,
    "graph": tf.function,
    "XLA": lambda function: tf.function(function, jit_compile=True),
}


def mapped(**settings):
    return by_id(PopularityBasedSampler, **{**SETTINGS, **settings})


def plain(**settings):
    return by_rank(PopularityBasedSampler, **{**SETTINGS, **settings})


def test_ids_in_order_need_no_map():
    sampler = PopularityBasedSampler.from_counts(
        IN_ORDER, reserved_ids=[0], max_num_samples=3, seed=17, distortion=0.75
    )
    distribution = Empirical(PopularityCurve.from_counts(IN_ORDER[1:]), 0.75)
    plain = PopularityBasedSampler(6, 1, 3, 17, distribution=distribution)
    assert sampler.get_config()["distribution"] == plain.get_config()["distribution"]
    assert sampler.domain == IdDomain(1, 6)
    assert len(sampler.weights) == 1
    for _ in range(3):
        assert sampler.sample_ids().numpy().tolist() == plain.sample_ids().numpy().tolist()
    ids = np.arange(9)
    assert np.array_equal(sampler.expected_count(ids), plain.expected_count(ids))


@pytest.mark.parametrize("mask", [{}, {"mask_token": ""}], ids=["", "mask"])
@pytest.mark.parametrize("buckets", [1, 3])
def test_ids_of_a_string_lookup(buckets, mask):
    """Reserved are the ids of unknown keys, and one more with a mask token."""
    lookup = tf.keras.layers.StringLookup(num_oov_indices=buckets, **mask)
    lookup.adapt(["tea", "tea", "tea", "jam", "jam", "rye"])
    ids = np.asarray(lookup(["tea", "jam", "rye", "tea", "corn", *mask.values()]))
    reserved = lookup.num_oov_indices + (lookup.mask_token is not None)
    drawn = PopularityBasedSampler.from_counts(
        np.bincount(ids), reserved_ids=range(reserved), max_num_samples=3
    )
    assert (drawn.min_id, drawn.max_id) == (reserved, lookup.vocabulary_size() - 1)
    assert np.asarray(drawn.domain.contains(ids)).tolist() == [True] * 4 + [False] * len(ids[4:])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("unique", [True, False])
def test_draws_and_counts_are_those_of_the_ranks(way, unique):
    samplers = mapped(unique=unique), plain(unique=unique)
    by_ids, by_ranks = (WAYS[way](each.sampled_values) for each in samplers)
    ranks = np.arange(ITEMS)
    for _ in range(3):
        found, expected = by_ids(tf.constant(IDS)), by_ranks(tf.constant(ranks))
        assert found[0].dtype == tf.int64
        np.testing.assert_array_equal(found[0], IDS[expected[0]])
        np.testing.assert_array_equal(found[1], expected[1])
        np.testing.assert_array_equal(found[2], expected[2])
    found, expected = (each.probability(ids) for each, ids in zip(samplers, (IDS, ranks)))
    np.testing.assert_array_equal(found, expected)


def test_what_is_not_counted_is_never_drawn_and_never_corrected():
    sampler = mapped()
    assert (sampler.expected_count(UNKNOWN).numpy() == 1.0).all()
    assert (sampler.probability(UNKNOWN).numpy() == 0.0).all()
    drawn = np.concatenate([sampler.sample_ids() for _ in range(30)])
    assert not set(UNKNOWN.tolist()) & set(drawn.tolist())
    ragged = sampler.expected_count(tf.ragged.constant([[int(IDS[0])], [-1, 400]], dtype=tf.int64))
    assert ragged[1].numpy().tolist() == [1.0, 1.0]


def test_probabilities_are_listed_by_id():
    found = mapped().get_distribution_probs().numpy()
    assert found.shape == (IDS.max() + 1,)
    np.testing.assert_array_equal(found[IDS], plain().get_distribution_probs())
    assert found.sum() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("way", WAYS)
def test_losses_gradients_and_ranks_follow_the_permutation(way):
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=[ITEMS, 8]).astype(np.float32)
    queries = tf.constant(rng.normal(size=[6, 8]), tf.float32)
    true_ranks = np.array([0, 7, 299, 41, 7, 120])
    by_ids = np.zeros([400, 8], np.float32)
    by_ids[IDS] = vectors
    answers = []
    for make, rows, ids in ((by_rank, vectors, np.arange(ITEMS)), (by_id, by_ids, IDS)):
        sources = [make(PopularityBasedSampler, **SETTINGS), make(InBatch)]
        layer, table = SampledSoftmax(sources, 0.7), tf.Variable(rows)

        def losses(training, layer=layer, table=table, ids=ids):
            given = tf.constant(ids[true_ranks]), table, tf.constant(ids[[[1, 2, 3]]])
            return layer(queries, *given, training=training)

        def step(losses=losses, table=table):
            with tf.GradientTape() as tape:
                found = losses(True)
            return found, tf.convert_to_tensor(tape.gradient(found, table))

        trained, gradient = WAYS[way](step)()
        evaluated = WAYS[way](lambda losses=losses: losses(False))()
        metrics = layer._cross_entropy.result(), layer._recall.result()
        answers.append((trained, gradient.numpy()[ids], evaluated, *metrics))
    for expected, found in zip(*answers):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_block_of_the_catalog_may_be_of_any_size(monkeypatch):
    layer, rng = SampledSoftmax(mapped()), np.random.default_rng(3)
    table, query = tf.Variable(rng.normal(size=[400, 2]), dtype=tf.float32), tf.ones([1, 2])
    true_id = IDS[[7]]
    scores = table.numpy()[IDS].astype(np.float64).sum(1)
    own = table.numpy()[true_id].sum()
    for block in (1, 7, ITEMS):
        monkeypatch.setattr("merlin_popsampler.tf.whole_catalog.BLOCK_BYTES", 8 * block)
        found = layer(query, tf.constant(true_id), table, training=False)
        np.testing.assert_allclose(found, [np.log(np.exp(scores).sum()) - own], rtol=1e-5)


def test_rows_of_uncounted_items_are_left_out():
    layer, table = SampledSoftmax(mapped()), tf.ones([400, 2])
    ids = tf.constant([UNKNOWN[2], IDS[5]])
    for training in (True, False):
        losses = layer(tf.ones([2, 2]), ids, table, training=training).numpy()
        assert losses[0] == 0.0 < losses[1]


def test_a_configuration_holds_no_ids_and_its_layer_draws_once_weights_are_loaded():
    sampler = mapped()
    config = json.loads(json.dumps(sampler.get_config()))
    assert set(config["item_ids"]) == {"size", "checksum"}
    again = PopularityBasedSampler.from_config(config)
    assert again.get_config() == sampler.get_config()
    for ask in (again.sample_ids, lambda: again.expected_count([3]), lambda: again.domain.id(0)):
        with pytest.raises(PopSamplerError, match="none yet.*load_weights"):
            ask()
        with pytest.raises(PopSamplerError, match="none yet"):
            tf.function(ask, jit_compile=True)()
        with pytest.raises(tf.errors.InvalidArgumentError, match="none yet.*load_weights"):
            tf.function(ask)()
    draw = tf.function(again.sample_ids)
    with pytest.raises(tf.errors.InvalidArgumentError, match="none yet"):
        draw()
    again.set_weights(sampler.get_weights())
    np.testing.assert_array_equal(draw(), sampler.sample_ids())
    assert again.domain == sampler.domain


def test_weights_of_other_items_are_refused():
    other = PopularityBasedSampler.from_counts((IDS, COUNTS[::-1].copy()), **SETTINGS)
    other.set_weights(mapped().get_weights())
    with pytest.raises(PopSamplerError, match="another order.*from_counts"):
        other.sample_ids()
    with pytest.raises(tf.errors.InvalidArgumentError, match="another order"):
        tf.function(other.sample_ids)()


def test_sources_of_one_mixture_have_one_order_of_ids():
    mixture = Mixture([mapped(), mapped(seed=3), by_id(InBatch)])
    assert mixture.sample_ids().shape == [80]
    assert (mixture.expected_count(UNKNOWN, 9).numpy() == 1.0).all()
    other = PopularityBasedSampler.from_counts((IDS, COUNTS[::-1].copy()), **SETTINGS)
    with pytest.raises(PopSamplerError, match="over the same ids, in the same order"):
        Mixture([other, by_id(InBatch)])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_have_the_map(copied):
    sampler = mapped()
    sampler.sample_ids()
    np.testing.assert_array_equal(copied(sampler).sample_ids(), sampler.sample_ids())


def model_of(negatives):
    query, true_ids = tf.keras.Input([4]), tf.keras.Input([], dtype="int64")
    table = tf.keras.layers.Embedding(400, 4)
    losses = SampledSoftmax(negatives)(query, true_ids, table)
    model = tf.keras.Model([query, true_ids], losses)
    model.compile("sgd", loss=lambda _, losses: losses, run_eagerly=True)
    return model


def batch():
    query = np.random.default_rng(2).normal(size=[4, 4]).astype(np.float32)
    return [query, np.append(IDS[[0, 9, 99]], UNKNOWN[-1])]


@pytest.mark.parametrize(
    "form", ["keras", "weights.h5", "checkpoint", *([] if KERAS3 else ["h5", "tf"])]
)
def test_a_saved_model_evaluates_and_draws_on_alike(tmp_path, form):
    model, path = model_of([mapped(), by_id(InBatch)]), str(tmp_path / "m")
    model.fit(batch(), batch()[1], verbose=0)
    if form in ("weights.h5", "checkpoint"):
        configuration = SampledSoftmax([mapped(), by_id(InBatch)]).negatives.get_config()
        again = model_of(Mixture.from_config(configuration))
        if form == "checkpoint":
            tf.train.Checkpoint(model).write(path)
            tf.train.Checkpoint(again).read(path).assert_existing_objects_matched()
        else:
            model.save_weights(path + ".weights.h5")
            again.load_weights(path + ".weights.h5")
    else:
        path += "" if form == "tf" else f".{form}"
        model.save(path, **({"save_format": "tf"} if form == "tf" else {}))
        again = tf.keras.models.load_model(path, compile=False)
        again.compile("sgd", loss=lambda _, losses: losses, run_eagerly=True)
    for _ in range(2):
        found, expected = (
            (
                each.evaluate(batch(), batch()[1], verbose=0),
                each.train_on_batch(batch(), batch()[1]),
            )
            for each in (again, model)
        )
        for one, other in zip(found, expected):
            np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_checkpoint_of_a_sampler_has_its_ids(tmp_path):
    sampler = mapped()
    sampler.sample_ids()
    again = PopularityBasedSampler.from_config(sampler.get_config())
    tf.train.Checkpoint(sampler=sampler).write(str(tmp_path / "c"))
    tf.train.Checkpoint(sampler=again).read(str(tmp_path / "c")).assert_consumed()
    np.testing.assert_array_equal(again.sample_ids(), sampler.sample_ids())


REPLICAS = """
import numpy as np
from merlin_popsampler import PopularityBasedSampler
from tests.support.mapped_items import IDS, by_id, by_rank
drawn = []
for make, ids in ((by_id, lambda ranks: IDS[ranks]), (by_rank, lambda ranks: ranks)):
    with strategy.scope():
        sampler = make(PopularityBasedSampler, max_num_samples=40, seed=17)
    for run in (lambda f: f, tf.function):
        for _ in range(2):
            true_ids = tf.constant(ids(np.arange(9)))
            answer = strategy.run(run(lambda: sampler.sampled_values(true_ids)))
            local = [strategy.experimental_local_results(part) for part in answer]
            drawn.append([[replica.numpy() for replica in part] for part in local])
for found, expected in zip(drawn[:4], drawn[4:]):
    assert not np.array_equal(*found[0])
    for replica in (0, 1):
        np.testing.assert_array_equal(found[0][replica], IDS[expected[0][replica]])
        for part in (1, 2):
            np.testing.assert_array_equal(found[part][replica], expected[part][replica])
"""


def test_replicas_draw_their_own_from_the_same_items(replicas):
    replicas.run(REPLICAS)


def test_a_graph_refers_to_the_tables_where_a_gpu_can_have_them():
    sampler = mapped()
    for weight in sampler.weights[:2]:
        dtype = tf.as_dtype(weight.dtype).as_datatype_enum
        for op, name in (("AssignVariableOp", "dtype"), ("ResourceGather", "dtype")):
            assert any(
                kernel.device_type == "GPU"
                and any(
                    constraint.name == name and dtype in constraint.allowed_values.list.type
                    for constraint in kernel.constraint
                )
                for kernel in kernels.get_registered_kernels_for_op(op).kernel
            )


def test_a_million_ids_take_eight_bytes_each_and_no_graph_holds_them():
    ids = np.random.default_rng(1).permutation(10**6)
    counts = np.arange(10**6, 0, -1)
    began = time.process_time()
    sampler = PopularityBasedSampler.from_counts((ids, counts), **SETTINGS)
    assert time.process_time() - began < 10
    assert sum(weight.nbytes for weight in sampler.get_weights()[:2]) == 8 * 10**6
    values = tf.function(sampler.sampled_values).get_concrete_function(
        tf.TensorSpec([None], tf.int64)
    )
    assert values.graph.as_graph_def().ByteSize() < 2e6
    found = sampler.sampled_values(tf.constant(ids[:3]))
    expected = PopularityBasedSampler.from_counts(counts, **SETTINGS).sampled_values([0, 1, 2])
    np.testing.assert_array_equal(found[0], ids[expected[0]])
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"item_ids": [1, 3, 2]}, "smallest and largest"),
        ({"item_ids": {3: 9}}, "mapping with .'3'.*from_counts"),
        ({"item_ids": {"size": 99, "checksum": 1}}, "number of item_ids"),
        ({"item_ids": {"size": 3, "checksum": "1"}}, "checksum of item_ids"),
    ],
)
def test_arguments_that_contradict_the_ids_are_refused(arguments, message):
    with pytest.raises(PopSamplerError, match=message):
        PopularityBasedSampler(9, 1, 2, distribution="uniform", **arguments)
