"""Decides when training stops, by measurements of held-out sessions, without a framework."""

from typing import Any, Dict, List, NamedTuple

METRIC = "recall@20"
STEPS = 50
"""Minimum number of batches between two measurements, since epochs of little data are short."""
GAIN = 1.01
"""A measurement is better if it exceeds the best recall so far times this factor."""
PATIENCE = 3
"""Number of measurements in succession that are not better, after which training ends."""
SLOWER = 0.3
"""Factor of the learning rate after a measurement that is not better."""


class Verdict(NamedTuple):
    """Holds the decisions after a measurement.

    Attributes:
      keep: whether the weights are the best so far; otherwise the best ones are restored.
      slower: whether training continues with a smaller learning rate.
      stop: whether training ends.
    """

    keep: bool
    slower: bool
    stop: bool


class Stopping:
    """Judges the measurements of a model in training.

    Attributes:
      curve: one row for each measurement: its `epoch` (0: before training) and metrics.
      best: the row of the best measurement.
    """

    def __init__(self) -> None:
        self.curve: List[Dict[str, float]] = []
        self.best: Dict[str, float] = {}
        self._failures = 0

    def judge(self, epoch: int, metrics: Dict[str, float]) -> Verdict:
        """Records a measurement, and decides by its `METRIC`."""
        found = {"epoch": epoch, **metrics}
        self.curve.append(found)
        best = self.best[METRIC] if self.best else -1.0
        keep, better = found[METRIC] >= best, found[METRIC] > GAIN * best
        if keep:
            self.best = found
        self._failures = 0 if better else self._failures + 1
        return Verdict(keep, not better, self._failures == PATIENCE)

    def report(self) -> Dict[str, Any]:
        """Returns the part of a model's results that describes its training."""
        last, best = self.curve[-1]["epoch"], self.best["epoch"]
        return {"epochs": last, "best_epoch": best, "curve": self.curve}
