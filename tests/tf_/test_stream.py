"""The stream of draws: what moves it, what does not, and what carries it along."""

import copy
import itertools
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from merlin_popsampler.core.stream_keys import own_bits, seed_key, signed
from merlin_popsampler.distributions import LogUniform
from merlin_popsampler.tf import stream
from merlin_popsampler.tf.sampler import PopularityBasedSampler
from tests.support.draws import batches_drawn, draw_ranks

ROOT = Path(__file__).parents[2]


def sampler(**settings):
    settings = {"max_id": 402, "min_id": 3, "max_num_samples": 20, "seed": 17, **settings}
    return PopularityBasedSampler(**settings)


def draws(layer, batches=3):
    return [layer.sample_ids().numpy().tolist() for _ in range(batches)]


def test_the_same_seed_gives_the_same_draws_eager_and_in_a_graph():
    other = sampler()
    graph = tf.function(other.sample_ids)
    assert draws(sampler()) == [graph().numpy().tolist() for _ in range(3)]


def test_batches_and_seeds_differ():
    """Near seeds too, and negative ones and 64 bits."""
    firsts = [draws(sampler(seed=seed), 1)[0] for seed in (0, 1, 2, -1, 17, 2**63, 2**64 - 2)]
    batches = firsts + draws(sampler(seed=17), 4)[1:]
    assert len({tuple(batch) for batch in batches}) == len(batches)


def test_a_trace_draws_nothing_and_moves_nothing():
    layer, graph_layer = sampler(), sampler()
    before = layer.get_weights()[0].copy()
    function = tf.function(graph_layer)
    for rows in (4, 5, 6):
        function.get_concrete_function(tf.TensorSpec([rows, 1], tf.int64))
    inputs = tf.keras.Input((1,), dtype="int64")
    tf.keras.Model(inputs, graph_layer(inputs)).summary(print_fn=lambda *_, **__: None)
    np.testing.assert_array_equal(graph_layer.get_weights()[0], before)
    np.testing.assert_array_equal(function(tf.ones([4, 1], tf.int64))[0], layer.sample_ids())
    assert batches_drawn(graph_layer) == 1


def test_traces_before_the_first_draw_do_not_choose_another_stream():
    tf.random.set_seed(23)
    plain = draws(sampler(seed=None))
    tf.random.set_seed(23)
    traced = sampler(seed=None)
    for length in range(1, 4):
        tf.function(lambda _: traced.sample_ids()).get_concrete_function(tf.ones([length]))
    assert traced.get_weights()[0].tolist() == [0, 1, 0]
    assert draws(traced) == plain


def test_without_a_seed_the_stream_comes_from_tensorflow_s():
    runs = []
    for seed in (5, 5, 6):
        tf.random.set_seed(seed)
        first, second = sampler(seed=None), sampler(seed=None)
        runs.append(draws(first))
        assert draws(second) != runs[-1]
    assert runs[0] == runs[1] != runs[2]


def restored_by_checkpoint(layer, folder):
    tf.train.Checkpoint(sampler=layer).write(f"{folder}/checkpoint")
    fresh = sampler(seed=99)
    tf.train.Checkpoint(sampler=fresh).read(f"{folder}/checkpoint").assert_consumed()
    return fresh


def model_of(layer):
    inputs = tf.keras.Input((1,), dtype="int64")
    return tf.keras.Model(inputs, layer(inputs))


def sampler_in(model):
    return next(layer for layer in model.layers if isinstance(layer, PopularityBasedSampler))


def restored_by_weights(layer, folder):
    model_of(layer).save_weights(f"{folder}/m.weights.h5")
    fresh = sampler(seed=99)
    model_of(fresh).load_weights(f"{folder}/m.weights.h5")
    return fresh


def restored_by_keras_file(layer, folder):
    model_of(layer).save(f"{folder}/m.keras")
    return sampler_in(tf.keras.models.load_model(f"{folder}/m.keras"))


def restored_by_saved_model(layer, folder):
    module = tf.Module()
    module.sampler = layer
    module.sample_ids = tf.function(layer.sample_ids, input_signature=[])
    tf.saved_model.save(module, f"{folder}/m")
    return tf.saved_model.load(f"{folder}/m")


RESTORES = [
    restored_by_checkpoint,
    restored_by_weights,
    restored_by_keras_file,
    restored_by_saved_model,
    lambda layer, _: pickle.loads(pickle.dumps(layer)),
    lambda layer, _: copy.deepcopy(layer),
]
NAMES = ["checkpoint", "weights.h5", "keras", "saved_model", "pickle", "deepcopy"]


@pytest.mark.parametrize("seed", [17, None])
@pytest.mark.parametrize("restore", RESTORES, ids=NAMES)
def test_a_restored_sampler_draws_on(restore, seed, tmp_path):
    layer = sampler(seed=seed)
    passed = draws(layer)
    fresh = restore(layer, tmp_path)
    following = draws(layer)
    assert draws(fresh) == following
    assert following != passed


def test_a_reloaded_model_draws_on_in_a_fresh_process(tmp_path, replicas):
    """The process of the replicas, which knows nothing of this one."""
    layer = sampler()
    draws(layer)
    model_of(layer).save(f"{tmp_path}/m.keras")
    restored_by_saved_model(layer, tmp_path)
    following = draws(layer)
    code = f"""
from merlin_popsampler import PopularityBasedSampler
model = tf.keras.models.load_model({str(tmp_path / "m.keras")!r})
sampler = next(x for x in model.layers if type(x) is PopularityBasedSampler)
assert sampler.max_id == 402 and sampler.seed == 17 and sampler.unique
raw = tf.saved_model.load({str(tmp_path / "m")!r})
for source in (sampler, raw):
    assert [source.sample_ids().numpy().tolist() for _ in range(3)] == {following}
unseeded = [PopularityBasedSampler(402, 3, 20).sample_ids().numpy().tolist() for _ in range(2)]
assert unseeded[0] != unseeded[1]
"""
    replicas.run(code)


def test_the_weight_is_no_parameter():
    layer = sampler()
    assert len(layer.weights) == 1
    assert layer.trainable_weights == []


def test_each_replica_draws_its_own_ids_and_a_saved_model_has_one_stream(tmp_path, replicas):
    code = f"""
from merlin_popsampler.tf.sampler import PopularityBasedSampler as P

def batches(sampler, num=3):
    nested = tf.function(sampler.sample_ids)  # as Merlin Models' scorer: merging is not allowed
    step = tf.function(lambda: strategy.run(nested))
    return [tuple(tuple(x.numpy().tolist()) for x in strategy.experimental_local_results(step()))
            for _ in range(num)]

for seed in (17, None):
    with strategy.scope():
        own, shared = (P(402, 3, 20, seed, share_across_replicas=s) for s in (False, True))
    drawn, same = batches(own), batches(shared)
    assert len({{ids for pair in drawn for ids in pair}}) == 6, drawn
    assert all(a == b for a, b in same) and len(set(same)) == 3
    assert own.get_weights()[0][0] == shared.get_weights()[0][0] == 3 * 256

    with strategy.scope():
        fresh = P(402, 3, 20, 99)
    path = tf.train.Checkpoint(sampler=own).write({str(tmp_path / "c")!r})
    tf.train.Checkpoint(sampler=fresh).read(path).assert_consumed()
    assert batches(own) == batches(fresh)  # on two replicas again
    alone = P(402, 3, 20, 99)
    tf.train.Checkpoint(sampler=alone).read(path).assert_consumed()
    with strategy.scope():
        again = P(402, 3, 20, 99)
    tf.train.Checkpoint(sampler=again).read(path)
    first = [pair[0] for pair in batches(again)]  # replica 0 is the stream of a lone process
    assert first == [tuple(alone.sample_ids().numpy().tolist()) for _ in range(3)]
with strategy.scope():
    assert P(402, 3, 20, 17).sample_ids().shape == (20,)  # outside any replica
alone = P(402, 3, 20, 17)
with strategy.scope():
    assert batches(P(402, 3, 20, 17))[0][0] == tuple(alone.sample_ids().numpy().tolist())
"""
    replicas.run(code)


def place_of(monkeypatch, seed, replica=0, worker=0, shared=False):
    """Key and position that a replica of one of Horovod's processes takes from a new stream.

    Neither is at hand here in numbers: stand-ins say what the two would say.
    """
    horovod = types.SimpleNamespace(rank=lambda: worker, is_initialized=lambda: True)
    context = types.SimpleNamespace(replica_id_in_sync_group=tf.constant(replica))
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "horovod.tensorflow", horovod)
        patch.setattr(tf.distribute, "get_replica_context", lambda: context)
        layer = sampler(seed=seed)
        first = stream.first_key(seed)
        key, position = stream.next_position(layer._stream, first, shared, choose_key=False)
    assert layer.get_weights()[0].tolist() == [256, 0, first]
    assert int(position) == 0
    return signed(int(key))


def test_replicas_and_workers_draw_by_the_keys_of_core(monkeypatch):
    """tests/core/test_stream_keys.py checks that these keys differ."""
    for place in itertools.product((-1, 0, 17), (0, 1, 5), (0, 4)):
        seed, replica, worker = place
        assert place_of(monkeypatch, *place) == seed_key(seed) ^ signed(own_bits(replica, worker))


def test_the_first_replica_of_the_first_worker_is_a_lone_process(monkeypatch):
    for seed in (0, 17, -3):
        assert place_of(monkeypatch, seed) == stream.first_key(seed)
    alone = sampler().sample_ids().numpy().tolist()
    assert (draw_ranks(LogUniform(400), stream.first_key(17), 0, 20).numpy() + 3).tolist() == alone


def test_a_shared_stream_is_everybody_s(monkeypatch):
    places = [(replica, worker) for replica in range(3) for worker in range(3)]
    keys = {place_of(monkeypatch, 17, *place, shared=True) for place in places}
    assert keys == {stream.first_key(17)}


def test_horovod_is_asked_only_where_it_runs(monkeypatch):
    idle = types.SimpleNamespace(rank=lambda: 1 / 0, is_initialized=lambda: False)
    monkeypatch.setitem(sys.modules, "horovod.tensorflow", idle)
    with_idle = draws(sampler())
    monkeypatch.delitem(sys.modules, "horovod.tensorflow")
    assert draws(sampler()) == with_idle
