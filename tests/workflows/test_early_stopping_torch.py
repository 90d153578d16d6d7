"""When training in PyTorch stops, and with which weights, on measurements told beforehand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
pytest.importorskip("tqdm")
torch = pytest.importorskip("torch")

import early_stopping_torch
from stopping import SLOWER, STEPS


class Trained:
    """A weight that every batch moves by the learning rate, with these recalls as measurements."""

    def __init__(self, recalls, batches=STEPS, minutes=1e6, epochs=100):
        self.model = torch.nn.Linear(1, 1, bias=False)
        self.seen, self.closed, self.batches = [], 0, 0
        results = iter(recalls)

        def losses():
            try:
                for _ in range(batches):
                    self.batches += 1
                    yield -self.model.weight.sum()
            finally:
                self.closed += 1

        def measure():
            self.seen.append(self.weight())
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
    told = [0.1, 0.2, 0.5, 0.4, 0.49, 0.2, 0.3, *[0.4] * 4]
    trained = Trained([*told, 0.9])
    assert trained.curve == told
    assert [row["epoch"] for row in trained.stopping.curve] == list(range(len(told)))
    assert trained.weight() == trained.seen[2]


def test_failures_are_taken_back_and_training_goes_on_in_smaller_steps():
    told = [0.1, 0.5, *[0.4] * 4, 0.6, 0.7]
    trained = Trained(told, epochs=len(told) - 1)
    steps = np.diff(trained.seen)
    assert steps[1:5] == pytest.approx([steps[0]] * 4, rel=0.05)  # a few failures are noise
    after = trained.seen[6] - trained.seen[1]
    assert after == pytest.approx(SLOWER * steps[0], rel=0.05)
    assert trained.weight() == trained.seen[7]


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
