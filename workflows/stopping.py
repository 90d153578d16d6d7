"""Decides when training stops, by measurements of held-out sessions, without a framework.

A measurement evaluates the weights and averages of them. The weights count until the averages are
better for the first time. From then on only the averages count: they vary less, and reach a higher
recall, as if the learning rate were lowered at the end.
"""

from typing import Any, Dict, List, NamedTuple, Optional

METRIC = "recall@20"
STEPS = 250
"""Minimum number of batches between two measurements, since epochs of little data are short.

Fewer batches change the recall by less than it varies by chance: with a few
thousand held-out queries, a recall of 0.1 has a standard error of about 0.004.
"""
PATIENCE = 3
"""Training ends after this many measurements in a row without a new best."""
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
      stop: whether training ends.
    """

    keep: bool
    stop: bool


class Stopping:
    """Judges the measurements of a model in training.

    Attributes:
      averaged: whether the averages have been better than the weights. From then on they count, and
        the weights need not be measured.
      curve: one row for each measurement: its `epoch` (0: before training), whether it is of the
        averages (`averaged`), and the metrics.
      best: the row of the best measurement.
    """

    def __init__(self) -> None:
        self.averaged = False
        self.curve: List[Dict[str, float]] = []
        self.best: Dict[str, float] = {}
        self._failures = 0

    def judge(
        self,
        epoch: int,
        weights: Optional[Dict[str, float]],
        averages: Optional[Dict[str, float]] = None,
    ) -> Verdict:
        """Records a measurement, and decides by its `METRIC`.

        Args:
          epoch: number of the epochs before it.
          weights: metrics of the weights, or None if `averaged`.
          averages: metrics of the averages; None before training.
        """
        if weights and averages:
            self.averaged = averages[METRIC] > weights[METRIC]
        metrics = (averages if self.averaged else weights) or {}
        found = {"epoch": epoch, "averaged": self.averaged, **metrics}
        self.curve.append(found)
        keep = not self.best or found[METRIC] > self.best[METRIC]
        if keep:
            self.best = found
        self._failures = 0 if keep else self._failures + 1
        return Verdict(keep, stop=self._failures == PATIENCE)

    def report(self) -> Dict[str, Any]:
        """Returns the part of a model's results that describes its training."""
        last, best = self.curve[-1]["epoch"], self.best["epoch"]
        return {"epochs": last, "best_epoch": best, "curve": self.curve}
