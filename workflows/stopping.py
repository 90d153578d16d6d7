"""Decides when training stops, by measurements of held-out sessions, without a framework."""

from typing import Any, Dict, List, NamedTuple

METRIC = "recall@20"
STEPS = 50
"""Minimum number of batches between two measurements, since epochs of little data are short."""
PATIENCE = 4
"""After so many measurements in succession that are not better, the learning rate becomes smaller.

Fewer are often noise: a few thousand held-out queries tell a recall of 0.1 to about 0.004. A rate
that is lowered too early ends training below what it can reach.
"""
SLOWER = 0.3
"""Factor of the learning rate then."""
TRIES = 2
"""If the best recall so far is not exceeded at so many rates in succession, training ends."""


class Verdict(NamedTuple):
    """Holds the decisions after a measurement.

    Attributes:
      keep: whether the weights are the best so far.
      slower: whether training continues from the best weights, with a smaller learning rate.
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
        keep = not self.best or found[METRIC] > self.best[METRIC]
        if keep:
            self.best = found
        self._failures = 0 if keep else self._failures + 1
        stop = self._failures == PATIENCE * TRIES
        slower = not keep and not stop and self._failures % PATIENCE == 0
        return Verdict(keep, slower, stop)

    def report(self) -> Dict[str, Any]:
        """Returns the part of a model's results that describes its training."""
        last, best = self.curve[-1]["epoch"], self.best["epoch"]
        return {"epochs": last, "best_epoch": best, "curve": self.curve}
