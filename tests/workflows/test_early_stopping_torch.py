"""Tests when training in PyTorch stops, and with which weights, on given measurements."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
pytest.importorskip("tqdm")
torch = pytest.importorskip("torch")

import early_stopping_torch

from tests.support.weight_averages import averages_after

STEPS = 50


@pytest.fixture(autouse=True)
def fewer_batches(monkeypatch):
    monkeypatch.setattr(early_stopping_torch, "STEPS", STEPS)


class Trained:
    """Trains a weight that every batch moves by the learning rate, with given recalls.

    A recall is that of the weights, with averages of recall 0, or a pair for both.
    """

    def __init__(self, recalls, batches=STEPS, minutes=1e6, epochs=100):
        self.model = torch.nn.Linear(1, 1, bias=False)
        self.seen, self.averages, self.passed = [], [], []
        self.closed, self.batches = 0, 0
        first, *rest = recalls
        pairs = [each if isinstance(each, tuple) else (each, 0.0) for each in rest]
        results = iter([first, *(each for pair in pairs for each in pair if each is not None)])

        def losses():
            try:
                for _ in range(batches):
                    self.batches += 1
                    yield -self.model.weight.sum()
                    self.passed.append(self.weight())
            finally:
                self.closed += 1

        def measure(measured):
            (self.seen if measured is self.model else self.averages).append(measured.weight.item())
            return {"recall@20": next(results)}

        optimizer = torch.optim.Adam(self.model.parameters(), 1e-3)
        self.stopping = early_stopping_torch.train_until_no_better(
            self.model, optimizer, losses, measure, epochs=epochs, minutes=minutes
        )
        self.curve = [row["recall@20"] for row in self.stopping.curve]
        self.epochs = [row["epoch"] for row in self.stopping.curve]

    def weight(self):
        return self.model.weight.item()


def test_training_stops_by_itself_with_the_best_weights():
    told = [0.1, 0.2, 0.5, 0.4, 0.49, 0.2]
    trained = Trained([*told, 0.9])
    assert trained.curve == told
    assert [row["epoch"] for row in trained.stopping.curve] == list(range(len(told)))
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


@pytest.mark.parametrize(
    ("recalls", "measured"), [([0.1, 0.2], [0, 2, 3]), ([0.3, 0.2], [0, 2, 3])]
)
def test_epochs_of_few_batches_are_measured_together_and_the_last_ones_in_any_case(
    recalls, measured
):
    trained = Trained([0.25, *recalls], batches=STEPS // 2, epochs=3)
    assert trained.epochs == measured
    assert trained.weight() == trained.seen[int(np.argmax([0.25, *recalls]))]


@pytest.mark.parametrize(("recalls", "best"), [([0.1, 0.5], 1), ([0.5, 0.1], 0)])
def test_the_end_of_the_time_keeps_the_best_so_far(recalls, best):
    trained = Trained(recalls, minutes=1e-9)
    assert (trained.batches, trained.closed) == (1, 1)
    assert trained.curve == recalls
    assert trained.weight() == trained.seen[best]
