"""Defines a mean over one evaluation, which calls a function when the next one begins."""

from typing import Any, Callable, Optional

import tensorflow as tf

from merlin_popsampler.tf.metrics import NanMean


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class EvaluationMean(NanMean):
    """Computes a mean, and calls a function when Keras resets it.

    Keras resets metrics at the start of an evaluation or an epoch. Merlin Models' `test_step` has
    no other hook at that time.

    Args:
      on_reset: function without arguments.
      **kwargs: arguments of a Keras metric.
    """

    def __init__(self, on_reset: Optional[Callable[[], Any]] = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._on_reset = on_reset

    def reset_state(self) -> None:
        super().reset_state()
        if self._on_reset is not None:
            self._on_reset()
