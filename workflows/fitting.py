"""Training until later sessions stop getting better."""

import time
from typing import Any, Callable, Dict, List

import numpy as np
import tensorflow as tf
from progress import bar

METRIC = "recall@20"
STEPS = 50
"""Batches between two measurements, at least: an epoch of little data is hardly a step."""
GAIN = 1.01
"""Times the best recall before, which a measurement must exceed to count as better."""
PATIENCE = 3
"""Measurements in succession that are no better, which end training."""
SLOWER = 0.3
"""Factor of the learning rate after each of them."""


class UntilNoBetter(tf.keras.callbacks.Callback):  # type: ignore[misc]
    """Measures a model after epochs of `STEPS` batches or more, and keeps its best weights.

    What is worse is taken back: training goes on from the best weights. After what is not better,
    it goes on with a smaller learning rate, and `PATIENCE` times in succession end it. However it
    ends, by itself, by its epochs or by its time, the model is left with the best weights.

    Args:
      measure: returns the metrics of the model as it is, of which `recall@20` decides.
      seconds: after so many the current epoch is cut short.
      name: shown beside the progress bar.

    Attributes:
      curve: one row a measurement: its `epoch` (0: before training) and metrics.
      best: the row of the best.
    """

    def __init__(
        self, measure: Callable[[], Dict[str, float]], seconds: float, name: str = ""
    ) -> None:
        super().__init__()
        self.measure, self.seconds, self.name = measure, seconds, name
        self.curve: List[Dict[str, float]] = []
        self.best: Dict[str, float] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        self.began = time.perf_counter()
        self.batches = bar(desc=f"train {self.name}", unit="batch")
        self.epoch = self.steps = self.failures = 0
        self._measure()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps += 1
        self.batches.set_postfix(self._shown(logs), refresh=False)
        self.batches.update()
        if time.perf_counter() - self.began > self.seconds:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch + 1
        if self.steps >= STEPS:
            self._measure()

    def on_train_end(self, logs: Any = None) -> None:
        if self.steps:
            self._measure()
        self.batches.close()

    def _shown(self, logs: Any) -> Dict[str, str]:
        loss = (logs or {}).get("loss", np.nan)
        latest, best = self.curve[-1][METRIC], self.best[METRIC]
        return {"loss": f"{loss:.3f}", METRIC: f"{latest:.4f}", "best": f"{best:.4f}"}

    def _measure(self) -> None:
        self.steps = 0
        found = {"epoch": self.epoch, **self.measure()}
        self.curve.append(found)
        best = self.best[METRIC] if self.best else -1.0
        # Only what training changes: a sampler must not go back in its stream of draws.
        variables = self.model.trainable_variables
        if found[METRIC] >= best:
            self.best, self.weights = found, [variable.numpy() for variable in variables]
        else:
            for variable, weight in zip(variables, self.weights):
                variable.assign(weight)
        if found[METRIC] > GAIN * best:
            self.failures = 0
            return
        rate = self.model.optimizer.learning_rate
        rate.assign(rate * SLOWER)
        self.failures += 1
        if self.failures == PATIENCE:
            self.model.stop_training = True
