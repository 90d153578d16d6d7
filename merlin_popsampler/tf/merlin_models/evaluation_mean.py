"""A mean over one evaluation, which tells when the next one begins."""

from typing import Any, Callable, Optional

import tensorflow as tf

from merlin_popsampler.tf.metrics import NanMean


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class EvaluationMean(NanMean):
    """A mean that Keras resets when an evaluation or an epoch begins, and what to do then.

    Merlin Models' `test_step` has no hook at the start of an evaluation; its metrics do.

    Args:
      on_reset: called without arguments.
      **kwargs: Keras's arguments of a metric.
    """

    def __init__(self, on_reset: Optional[Callable[[], Any]] = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._on_reset = on_reset

    def reset_state(self) -> None:
        super().reset_state()
        if self._on_reset is not None:
            self._on_reset()
