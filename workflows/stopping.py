"""When training stops, by measurements of later sessions. No framework."""

from typing import Any, Dict, List, NamedTuple

METRIC = "recall@20"
STEPS = 50
"""Batches between two measurements, at least: an epoch of little data is hardly a step."""
GAIN = 1.01
"""Times the best recall before, which a measurement must exceed to count as better."""
PATIENCE = 3
"""Measurements in succession that are no better, which end training."""
SLOWER = 0.3
"""Factor of the learning rate after each of them."""


class Verdict(NamedTuple):
    """What follows from a measurement.

    Attributes:
      keep: whether the weights are the best so far; else training goes on from those.
      slower: whether it goes on with a smaller learning rate.
      stop: whether it ends.
    """

    keep: bool
    slower: bool
    stop: bool


class Stopping:
    """Judges the measurements of a model in training, whatever trains it.

    Attributes:
      curve: one row a measurement: its `epoch` (0: before training) and metrics.
      best: the row of the best.
    """

    def __init__(self) -> None:
        self.curve: List[Dict[str, float]] = []
        self.best: Dict[str, float] = {}
        self._failures = 0

    def judge(self, epoch: int, metrics: Dict[str, float]) -> Verdict:
        """Enters a measurement, of which `METRIC` decides."""
        found = {"epoch": epoch, **metrics}
        self.curve.append(found)
        best = self.best[METRIC] if self.best else -1.0
        keep, better = found[METRIC] >= best, found[METRIC] > GAIN * best
        if keep:
            self.best = found
        self._failures = 0 if better else self._failures + 1
        return Verdict(keep, not better, self._failures == PATIENCE)

    def report(self) -> Dict[str, Any]:
        """What a model's results say of its training."""
        last, best = self.curve[-1]["epoch"], self.best["epoch"]
        return {"epochs": last, "best_epoch": best, "curve": self.curve}
