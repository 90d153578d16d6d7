"""Decides when training stops, by measurements of held-out sessions, without a framework.

A measurement is of the weights and of averages of them, and the better one counts. Early in the
training that is the weights. Later it is the averages, which vary less, and recall more, as if the
learning rate were lowered at the end.
"""

from typing import Any, Dict, List, NamedTuple, Optional

METRIC = "recall@20"
STEPS = 50
"""Minimum number of batches between two measurements, since epochs of little data are short."""
PATIENCE = 4
"""Training goes on for at least so many measurements after the best one.

Fewer are often noise: a few thousand held-out queries tell a recall of 0.1 to about 0.004.
"""
LONGER = 1 / 3
"""Training goes on for at least this share of the measurements up to the best one.

The later the best one is, the more slowly recall rises, and the longer the next one takes.
"""
AVERAGED = 10
"""Number of batches between two updates of the averages, so that these take little time."""
DECAY = 8


def newest_share(updates: int) -> float:
    """Returns the share of the current weights in their averages.

    The averages are over about the last ninth of the training: "polynomial-decay averaging" of
    Shamir and Zhang (2013), Stochastic Gradient Descent for Non-smooth Optimization, section 4.

    Args:
      updates: number of the earlier updates; without any, the share is 1.
    """
    return (DECAY + 1) / (updates + DECAY + 1)


class Verdict(NamedTuple):
    """Holds the decisions after a measurement.

    Attributes:
      keep: whether it is the best so far.
      averaged: whether its recall is that of the averages.
      stop: whether training ends.
    """

    keep: bool
    averaged: bool
    stop: bool


class Stopping:
    """Judges the measurements of a model in training.

    Attributes:
      curve: one row for each measurement: its `epoch` (0: before training), whether it is of the
        averages (`averaged`), and the metrics.
      best: the row of the best measurement.
    """

    def __init__(self) -> None:
        self.curve: List[Dict[str, float]] = []
        self.best: Dict[str, float] = {}
        self._best_place = 0

    def judge(
        self, epoch: int, weights: Dict[str, float], averages: Optional[Dict[str, float]] = None
    ) -> Verdict:
        """Records a measurement, and decides by its `METRIC`.

        Args:
          epoch: number of the epochs before it.
          weights: metrics of the weights.
          averages: metrics of the averages, which there are not before training.
        """
        averaged = averages is not None and averages[METRIC] > weights[METRIC]
        metrics = averages if averages is not None and averaged else weights
        found, place = {"epoch": epoch, "averaged": averaged, **metrics}, len(self.curve)
        self.curve.append(found)
        keep = not self.best or found[METRIC] > self.best[METRIC]
        if keep:
            self.best, self._best_place = found, place
        patience = max(PATIENCE, LONGER * self._best_place)
        return Verdict(keep, averaged, stop=place - self._best_place >= patience)

    def report(self) -> Dict[str, Any]:
        """Returns the part of a model's results that describes its training."""
        last, best = self.curve[-1]["epoch"], self.best["epoch"]
        return {"epochs": last, "best_epoch": best, "curve": self.curve}
