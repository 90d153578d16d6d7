"""Training until later sessions stop getting better."""

import time
from typing import Any, Callable, Dict

import numpy as np
import tensorflow as tf
from progress import bar
from stopping import METRIC, SLOWER, STEPS, Stopping


def adam(learning_rate: float) -> Any:
    """Keras's Adam, at a fifth of its time on tables of vectors.

    It goes over the whole table for a gradient of few rows, too, in many passes. For a dense
    gradient the older implementation does the same in one.
    """

    def dense(gradients: Any) -> Any:
        return [(tf.convert_to_tensor(gradient), variable) for gradient, variable in gradients]

    return tf.keras.optimizers.legacy.Adam(learning_rate, gradient_transformers=[dense])


class UntilNoBetter(tf.keras.callbacks.Callback):  # type: ignore[misc]
    """Measures a model after epochs of `STEPS` batches or more, and keeps its best weights.

    What is worse is taken back: training goes on from the best weights. After what is not better,
    it goes on with a smaller learning rate, and, as `Stopping` judges, ends. However it ends, by
    itself, by its epochs or by its time, the model is left with the best weights.

    Args:
      measure: returns the metrics of the model as it is, of which `recall@20` decides.
      seconds: after so many the current epoch is cut short.
      name: shown beside the progress bar.
    """

    def __init__(
        self, measure: Callable[[], Dict[str, float]], seconds: float, name: str = ""
    ) -> None:
        super().__init__()
        self.measure, self.seconds, self.name = measure, seconds, name
        self.stopping = Stopping()

    def on_train_begin(self, logs: Any = None) -> None:
        self.began = time.perf_counter()
        self.batches = bar(desc=f"train {self.name}", unit="batch")
        self.epoch = self.steps = 0
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
        latest, best = self.stopping.curve[-1][METRIC], self.stopping.best[METRIC]
        return {"loss": f"{loss:.3f}", METRIC: f"{latest:.4f}", "best": f"{best:.4f}"}

    def _measure(self) -> None:
        self.steps = 0
        verdict = self.stopping.judge(self.epoch, self.measure())
        # Only what training changes: a sampler must not go back in its stream of draws.
        variables = self.model.trainable_variables
        if verdict.keep:
            self.weights = [variable.numpy() for variable in variables]
        else:
            for variable, weight in zip(variables, self.weights):
                variable.assign(weight)
        if verdict.slower:
            rate = self.model.optimizer.learning_rate
            rate.assign(rate * SLOWER)
        self.model.stop_training |= verdict.stop
