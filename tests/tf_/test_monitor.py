"""Compares the numbers that a monitor adds to the logs of `fit` with NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from merlin_popsampler import PopSamplerError
from merlin_popsampler.core import sampling_numbers as names
from merlin_popsampler.tf import InBatch, PopularityBasedSampler, SampledSoftmax, SamplingMonitor
from merlin_popsampler.tf import observation as tf_observation

COUNTS = {3: 300, 4: 41, 5: 41, 6: 30, 7: 9, 8: 9, 9: 9, 10: 2, 11: 1, 12: 1, 13: 1, 14: 1}
IDS = np.array([3, 14, 7, 7, 0, 5])
EXCLUDED = np.array([[4, 14], [0, 0], [3, 7], [5, 9], [8, 0], [13, 6]])
SOURCES = {
    "samples": lambda: [sampler()],
    "in-batch": lambda: [InBatch.from_counts(COUNTS)],
    "both": lambda: [sampler(unique=False), InBatch.from_counts(COUNTS)],
}


def sampler(num=5, **settings):
    return PopularityBasedSampler.from_counts(COUNTS, max_num_samples=num, seed=17, **settings)


def numbers():
    random = np.random.default_rng(3)
    return random.normal(size=[6, 4]), random.normal(size=[15, 4])


def reference(mixture, query, table, temperature, correct, strength):
    """The numbers by the formulas of the core, and the share drawn."""
    batch = IDS if mixture.in_batch is not None else IDS[:0]
    drawn = np.concatenate([batch, mixture.sample_ids().numpy()])
    count = mixture.expected_count(np.arange(15), 5).numpy().astype(float) ** strength
    hits = (IDS[:, None] == drawn) | (EXCLUDED[:, :, None] == drawn).any(1)
    logits = query @ table[drawn].T / temperature - np.log(count[drawn])
    logits[hits | (drawn < 3)] = -np.inf
    if len(batch):
        hits[np.arange(6), np.arange(6)] = False
    corrected = [*drawn[drawn >= 3], *(IDS[IDS > 0] if correct else [])]
    found = names.step_numbers(logits, hits, np.log(count[corrected]), IDS > 0)
    return {**found, names.SHARE_DRAWN: len(set(drawn[drawn >= 3])) / 12}


@pytest.mark.parametrize("way", ["eager", "graph", "xla"])
@pytest.mark.parametrize("sources", SOURCES)
def test_the_numbers_of_a_step(sources, way):
    query, table = numbers()
    settings = {"correct_positive": sources != "both", "logq_strength": 0.7}
    layer = SampledSoftmax(SOURCES[sources](), 0.5, **settings)
    monitor = SamplingMonitor(layer)

    def step():
        return layer(tf.constant(query), IDS, tf.constant(table), EXCLUDED, training=True)

    if way != "eager":
        step = tf.function(step, jit_compile=way == "xla")
    losses = step()
    twin = SampledSoftmax(SOURCES[sources](), 0.5, **settings)
    expected = twin(tf.constant(query), IDS, tf.constant(table), EXCLUDED, training=True)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    mixture = SampledSoftmax(SOURCES[sources]()).negatives
    expected = reference(mixture, query, table, 0.5, settings["correct_positive"], 0.7)
    assert monitor.observation.read() == pytest.approx(expected, rel=1e-5)


def test_the_first_rows_of_a_large_batch(monkeypatch):
    query, table = numbers()
    found = []
    for rows in (6, 3):
        monkeypatch.setattr(tf_observation, "BYTES", 4 * 5 * rows)
        layer = SampledSoftmax(sampler())
        monitor = SamplingMonitor(layer)
        part = [each[:rows] for each in (tf.constant(query), IDS, tf.constant(EXCLUDED))]
        layer(part[0], part[1], tf.constant(table), part[2], training=True)
        found.append([monitor.observation.read()])
        monkeypatch.setattr(tf_observation, "BYTES", 4 * 5 * 3)
        layer = SampledSoftmax(sampler())
        monitor = SamplingMonitor(layer)
        layer(tf.constant(query), IDS, tf.constant(table), EXCLUDED, training=True)
        found[-1].append(monitor.observation.read())
    small, large = found[1]
    for name in names.STEP_NUMBERS[:2]:
        assert small[name] == pytest.approx(large[name], rel=1e-6)
    assert large[names.ROWS_WITHOUT_ITEM] == 1
    assert found[0][0] != large


def model_of(negatives):
    users, items = tf.keras.Input([], dtype="int64"), tf.keras.Input([], dtype="int64")
    tf.keras.utils.set_random_seed(3)
    queries = tf.keras.layers.Embedding(50, 4)(users)
    layer = SampledSoftmax(negatives)
    model = tf.keras.Model([users, items], layer(queries, items, tf.keras.layers.Embedding(15, 4)))
    model.compile("sgd", loss=lambda _, losses: losses)
    return model, layer


def fit(model, **settings):
    users, items = np.arange(48), 3 + np.arange(48) % 12
    settings = {"batch_size": 8, "verbose": 0, "shuffle": False, **settings}
    return model.fit([users, items], items, **settings).history


class Seen(tf.keras.callbacks.Callback):
    """A later callback, as TensorBoard is."""

    def __init__(self):
        super().__init__()
        self.logs = []

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs))


def test_fit_shows_the_numbers():
    """In History and to later callbacks, without a change of what is trained."""
    model, layer = model_of(sampler())
    query = np.random.default_rng(3).normal(size=[6, 4]).astype("float32")
    monitor, seen = SamplingMonitor(layer, every=4, held_out=lambda: (query, IDS)), Seen()
    history = fit(model, epochs=2, callbacks=[monitor, seen])
    everything = {*names.STEP_NUMBERS, names.SHARE_DRAWN, names.FULL_LOSS, names.SAMPLED_LOSS}
    assert everything <= set(history)
    for epoch in range(2):
        assert all(seen.logs[epoch][name] == history[name][epoch] for name in everything)
    assert monitor.steps == 12
    assert 0 < history[names.SHARE_DRAWN][0] <= history[names.SHARE_DRAWN][1] <= 1
    assert np.all(np.array(history[names.ROWS_WITHOUT_ITEM]) == 0)
    plain, _ = model_of(sampler())
    assert fit(plain, epochs=2)["loss"] == pytest.approx(history["loss"], rel=1e-6)


def test_it_writes_to_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")  # TensorFlow 2.21 does not install it
    model, layer = model_of(sampler())
    writer = tf.summary.create_file_writer(str(tmp_path))
    fit(model, callbacks=[SamplingMonitor(layer, every=4, writer=writer)])
    writer.close()
    (path,) = map(str, tmp_path.glob("events*"))
    events = tf.compat.v1.train.summary_iterator(path)
    written = [(value.tag, event.step) for event in events for value in event.summary.value]
    assert [step for name, step in written if name == names.ROWS_WITHOUT_ITEM] == [1, 5]


def test_short_epochs_have_their_numbers():
    """With fewer steps than `every`: of the first step, and the share drawn of every step."""
    found = []
    for every in (100, 1):
        model, layer = model_of(sampler())
        monitor = SamplingMonitor(layer, every=every)
        history = fit(model, epochs=2, callbacks=[monitor])
        assert all(len(history[name]) == 2 for name in names.STEP_NUMBERS)
        assert len(monitor._found) == (1 if every == 100 else 6)
        found.append((history[names.SHARE_DRAWN], monitor._found[0]))
    (share, of_first), (same_share, of_each) = found
    assert share == same_share
    assert of_first == of_each
    assert of_each[names.SHARE_DRAWN] <= share[1]


def test_a_second_fit_is_not_traced_again():
    model, layer = model_of(sampler())
    monitor = SamplingMonitor(layer)
    fit(model, epochs=1, callbacks=[monitor])
    traced = model.train_function
    history = fit(model, epochs=1, callbacks=[monitor])
    assert model.train_function is traced
    assert len(history[names.EFFECTIVE_SAMPLES]) == 1


def test_a_model_that_was_trained_before():
    """Its step is traced anew, so that it computes the numbers."""
    model, layer = model_of(sampler())
    fit(model)
    history = fit(model, callbacks=[SamplingMonitor(layer)])
    assert np.isfinite(history[names.EFFECTIVE_SAMPLES]).all()


def test_several_steps_in_one_execution():
    model, layer = model_of(sampler())
    model.compile("sgd", loss=lambda _, losses: losses, steps_per_execution=3)
    monitor = SamplingMonitor(layer, every=3)
    fit(model, callbacks=[monitor])
    assert monitor.steps == 6 and len(monitor._found) == 2


def test_a_held_out_batch_that_is_no_function_is_refused_before_the_training():
    with pytest.raises(PopSamplerError, match="held_out to be a function without .* tuple"):
        SamplingMonitor(SampledSoftmax(sampler(12)), held_out=numbers())


@pytest.mark.parametrize("result", [None, np.zeros([4, 2]), (np.zeros([4, 2]),)], ids=repr)
def test_a_held_out_batch_is_a_tuple_of_arguments(result):
    monitor = SamplingMonitor(SampledSoftmax(sampler(12)), held_out=lambda: result)
    with pytest.raises(PopSamplerError, match="held_out to return a tuple: queries, true ids"):
        monitor.held_out_losses()


def test_the_full_and_the_sampled_loss_of_a_held_out_batch():
    """The estimate of the full loss by all items is the full loss; stream and settings stay."""
    query, table = numbers()
    layer = SampledSoftmax(sampler(12), logq_strength=0.5)
    arguments = tf.constant(query), IDS, tf.constant(table), EXCLUDED
    monitor = SamplingMonitor(layer, held_out=lambda: arguments)
    losses = layer(*arguments, training=False).numpy()
    found = monitor.held_out_losses()
    assert found[names.FULL_LOSS] == pytest.approx(losses.sum() / 5, rel=1e-6)
    assert found[names.SAMPLED_LOSS] == pytest.approx(found[names.FULL_LOSS], rel=1e-5)
    assert (layer.correct_positive, layer.logq_strength) == (True, 0.5)
    assert layer.observation is monitor.observation
    expected = sampler(12).sample_ids().numpy()
    np.testing.assert_array_equal(layer.negatives.sample_ids(), expected)
    assert SamplingMonitor(layer).held_out_losses() == {}


REPLICAS = """
import numpy as np
from tests.tf_.test_monitor import SamplingMonitor, fit, model_of, names, sampler

with strategy.scope():
    model, layer = model_of(sampler())
    monitor = SamplingMonitor(layer, every=2)
history = fit(model, callbacks=[monitor])
assert np.isfinite(history[names.EFFECTIVE_SAMPLES]).all()
assert 0 < history[names.SHARE_DRAWN][0] <= 1
"""


def test_replicas(replicas):
    replicas.run(REPLICAS)


def test_it_is_not_saved(tmp_path):
    model, layer = model_of(sampler())
    weights = len(model.weights)
    SamplingMonitor(layer)
    assert len(model.weights) == weights
    model.save(tmp_path / "model.keras")
    loaded = tf.keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert len(loaded.weights) == weights


def test_what_cannot_be_monitored_is_refused():
    for layer in (tf.keras.layers.Dense(3), None):
        with pytest.raises(PopSamplerError, match="Pass the layer itself"):
            SamplingMonitor(layer)
    with pytest.raises(PopSamplerError, match="every"):
        SamplingMonitor(SampledSoftmax(sampler()), every=0)
    with pytest.raises(PopSamplerError, match="writer that has the method as_default.*'runs'"):
        SamplingMonitor(SampledSoftmax(sampler()), writer="runs")
    with pytest.raises(PopSamplerError, match="share_drawn to be True or False"):
        SamplingMonitor(SampledSoftmax(sampler()), share_drawn="no")
    large = SampledSoftmax(PopularityBasedSampler(10**8 + 3, 3))
    with pytest.raises(PopSamplerError, match="share_drawn=False"):
        SamplingMonitor(large)
    SamplingMonitor(large, share_drawn=False)
