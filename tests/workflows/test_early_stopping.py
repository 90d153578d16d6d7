"""Tests when training stops, and with which weights, on given measurements."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
pytest.importorskip("tqdm")
tf = pytest.importorskip("tensorflow")

import early_stopping

from tests.support.weight_averages import averages_after

STEPS = 50


@pytest.fixture(autouse=True)
def fewer_batches(monkeypatch):
    monkeypatch.setattr(early_stopping, "STEPS", STEPS)


RATE = 1e-5
"""A rate so small that every batch moves the weight by almost the same amount."""


# The demo's models need Keras 2, but early stopping is tested with Keras 2 and 3.
@pytest.mark.keras2
def test_adam_takes_the_steps_of_kerass_own_on_few_rows_of_a_table():
    rng = np.random.default_rng(3)
    start = rng.normal(size=(50, 4)).astype(np.float32)
    tables = [tf.Variable(start), tf.Variable(start)]
    optimizers = [early_stopping.adam(0.01), tf.keras.optimizers.Adam(0.01)]
    for _ in range(20):
        rows, of_rows = rng.integers(0, 40, 8), rng.normal(size=(8, 4)).astype(np.float32)
        for optimizer, table in zip(optimizers, tables):
            gradient = tf.IndexedSlices(of_rows, rows, tf.constant([50, 4]))
            optimizer.apply_gradients([(gradient, table)])
    assert np.abs(tables[1] - start).max() > 0.05
    np.testing.assert_allclose(*tables, rtol=1e-5, atol=1e-6)


class Counter(tf.keras.layers.Layer):
    """Counts batches in a weight that is not trained, like a sampler's position."""

    def build(self, input_shape):
        self.count = self.add_weight(
            name="count", shape=(), dtype="float32", initializer="zeros", trainable=False
        )

    def call(self, inputs, training=False):
        if training:
            self.count.assign(self.count + 1)
        return inputs


KINDS = ("seen", "averages")


class Trained:
    """Trains a weight that every batch changes, with given recalls as measurements.

    A recall is that of the weights, with averages of recall 0, or a pair for both.
    """

    def __init__(self, recalls, batches=STEPS, seconds=1e6, epochs=100):
        self.counter, self.dense = Counter(), tf.keras.layers.Dense(1, use_bias=False)
        model = tf.keras.Sequential([self.counter, self.dense])
        model.compile(optimizer=tf.keras.optimizers.SGD(RATE), loss="mse")
        model.build((None, 1))
        first, *rest = recalls
        pairs = [each if isinstance(each, tuple) else (each, 0.0) for each in rest]
        results = iter([first, *(each for pair in pairs for each in pair if each is not None)])
        measured, self.passed = [], []

        def measure():
            measured.append(self.weight())
            return {"recall@20": next(results)}

        after = tf.keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: self.passed.append(self.weight())
        )
        self.fitting = early_stopping.UntilNoBetter(measure, seconds)
        ones = np.ones((batches, 1), np.float32)
        model.fit(
            ones,
            ones + 100,
            batch_size=1,
            epochs=epochs,
            verbose=0,
            callbacks=[after, self.fitting],
        )
        self.curve = [row["recall@20"] for row in self.fitting.stopping.curve]
        kinds = [
            "seen",
            *(kind for pair in pairs for kind, each in zip(KINDS, pair) if each is not None),
        ]
        self.seen, self.averages = (
            [weight for kind, weight in zip(kinds, measured) if kind == wanted] for wanted in KINDS
        )

    def weight(self):
        return float(self.dense.kernel[0, 0])


def test_training_stops_by_itself_with_the_best_weights():
    told = [0.1, 0.2, 0.5, 0.4, 0.49, 0.2]
    trained = Trained([*told, 0.9])
    assert trained.curve == told
    assert [row["epoch"] for row in trained.fitting.stopping.curve] == list(range(len(told)))
    assert trained.weight() == trained.seen[2]


def test_once_averages_recall_more_they_are_kept_and_training_goes_on_from_the_weights():
    trained = Trained([0.1, 0.2, (0.3, 0.5), (None, 0.6), *[(None, 0.4)] * 3])
    assert trained.curve == [0.1, 0.2, 0.5, 0.6, 0.4, 0.4, 0.4]
    assert trained.weight() == trained.averages[2]
    assert len(trained.seen) == 3
    moved = np.diff(trained.passed)
    assert moved == pytest.approx(np.full(len(moved), moved[0]), rel=0.01)


def test_the_averages_are_those_of_the_weights_that_were_passed():
    batches = STEPS + 3
    trained = Trained([0.1, 0.2, 0.3], batches=batches, epochs=2)
    assert trained.averages == pytest.approx(averages_after(trained.passed, batches), rel=1e-5)
    assert trained.averages[1] < trained.seen[2] - 1e-3  # the current weights have changed since


def test_epochs_of_few_batches_are_measured_together():
    trained = Trained([0.3, 0.1, 0.1], batches=STEPS // 5 + 1, epochs=10)
    assert [row["epoch"] for row in trained.fitting.stopping.curve] == [0, 5, 10]
    assert trained.weight() == trained.seen[0]


def test_the_last_epochs_are_measured_even_if_they_are_few():
    trained = Trained([0.1, 0.2, 0.3], batches=STEPS // 2, epochs=3)
    assert [row["epoch"] for row in trained.fitting.stopping.curve] == [0, 2, 3]
    assert trained.weight() == trained.seen[2]


@pytest.mark.parametrize(("recalls", "best"), [([0.1, 0.5], 1), ([0.5, 0.1], 0)])
def test_the_end_of_the_time_keeps_the_best_so_far(recalls, best):
    trained = Trained(recalls, seconds=0)
    assert float(trained.counter.count) == 1  # batches
    assert trained.curve == recalls
    assert trained.weight() == trained.seen[best]


def test_a_stream_of_draws_never_goes_back():
    trained = Trained([0.5, *[0.4] * 3])
    assert float(trained.counter.count) == 3 * STEPS


def test_the_bar_shows_the_measure(monkeypatch):
    shown = []

    class Bar:
        def set_postfix(self, values, refresh):
            shown.append(values)

        def update(self):
            pass

        def close(self):
            shown.append("closed")

    monkeypatch.setattr(early_stopping, "tqdm", lambda **options: Bar())
    Trained([0.1, 0.5, 0.25], epochs=2)
    assert shown[0]["recall@20"] == "0.1000"
    assert shown[-2]["recall@20"] == "0.5000" == shown[-2]["best"]
    assert float(shown[-2]["loss"]) > 0
    assert shown[-1] == "closed"
