"""Stops the training of a Keras model when the recall of held-out sessions stops improving."""

import time
from typing import Any, Callable, Dict, Iterable, List

import numpy as np
import tensorflow as tf
from stopping import AVERAGED, METRIC, STEPS, Stopping, newest_share
from tqdm import tqdm


def adam(learning_rate: float) -> Any:
    """Returns Keras's Adam with dense gradients, which takes a fifth of the time on large tables.

    For a sparse gradient, Adam updates the whole table in many passes. For a dense gradient, the
    legacy implementation computes the same update in one pass.
    """

    def dense(gradients: Any) -> Any:
        return [(tf.convert_to_tensor(gradient), variable) for gradient, variable in gradients]

    return tf.keras.optimizers.legacy.Adam(learning_rate, gradient_transformers=[dense])


class UntilNoBetter(tf.keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the best weights of a model, or the best averages of them.

    Both are measured after each `STEPS` batches or more, and when training ends. `Stopping` decides
    when it ends. Then the model always has what was best.

    Args:
      measure: returns the metrics of the current model; `recall@20` decides.
      seconds: time limit of the training; it interrupts an epoch.
      name: label of the progress bar.
    """

    def __init__(
        self, measure: Callable[[], Dict[str, float]], seconds: float, name: str = ""
    ) -> None:
        super().__init__()
        self.measure, self.seconds, self.name = measure, seconds, name
        self.stopping = Stopping()

    def on_train_begin(self, logs: Any = None) -> None:
        self.began = time.perf_counter()
        self.batches = tqdm(desc=f"train {self.name}", unit="batch", disable=None)
        self.epoch = self.steps = self.updates = 0
        self.best = self._weights()
        self.averages = [tf.Variable(weight) for weight in self.best]
        self.stopping.judge(0, self.measure())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps += 1
        if self.steps % AVERAGED == 0:
            self._average()
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
        self._assign(self.best)
        self.batches.close()

    def _shown(self, logs: Any) -> Dict[str, str]:
        loss = (logs or {}).get("loss", np.nan)
        latest, best = self.stopping.curve[-1][METRIC], self.stopping.best[METRIC]
        return {"loss": f"{loss:.3f}", METRIC: f"{latest:.4f}", "best": f"{best:.4f}"}

    def _average(self) -> None:
        older = 1 - newest_share(self.updates)
        self.updates += 1
        for average, weight in zip(self.averages, self._weights()):
            average.assign(weight + older * (average - weight))

    def _measure(self) -> None:
        if self.steps % AVERAGED:
            self._average()
        weights = self._weights()
        of_weights = None if self.stopping.averaged else self.measure()
        self._assign(self.averages)
        verdict = self.stopping.judge(self.epoch, of_weights, self.measure())
        if verdict.keep:
            self.best = self._weights() if self.stopping.averaged else weights
        self._assign(weights)
        self.steps = 0
        self.model.stop_training |= verdict.stop

    def _weights(self) -> List[Any]:
        return [tf.identity(variable) for variable in self.model.trainable_variables]

    def _assign(self, weights: Iterable[Any]) -> None:
        # Only what training changes: a sampler must not go back in its stream of draws.
        for variable, weight in zip(self.model.trainable_variables, weights):
            variable.assign(weight)
