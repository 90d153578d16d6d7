"""Reports how well the samples of a loss layer estimate the full softmax, during `fit`."""

from contextlib import contextmanager
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import numpy as np
import tensorflow as tf

from merlin_popsampler.core.checks import flag
from merlin_popsampler.core.sampling_numbers import (
    EVERY,
    FULL_LOSS,
    SAMPLED_LOSS,
    SHARE_DRAWN,
    checked_held_out,
    checked_writer,
    held_out_batch,
    noted_items,
    steps_between,
)
from merlin_popsampler.errors import PopSamplerError

from .negatives import Mixture
from .observation import Observation
from .sampled_softmax import SampledSoftmax
from .stream import tf_variable


class SamplingMonitor(tf.keras.callbacks.Callback):  # type: ignore[misc]
    """Reports how well the samples of a layer estimate the full softmax, while a model trains.

    Training steps have accidental hits, effective samples, the largest correction, rows without an
    item and the share of items drawn. A held-out batch has the full and the sampled loss.
    `core.sampling_numbers` defines them.

    It is a callback for `fit`. The logs of an epoch get the mean of each number over the steps that
    computed it, and the share of items drawn so far. `History` and callbacks that follow, such as
    `TensorBoard`, read these logs. Under a strategy of several replicas, the numbers are those of
    the first one.

    Args:
      layer: the `SampledSoftmax` layer of the model; its negatives must be sampled or in-batch.
        Construct the monitor in the scope of the layer's strategy, before the first step.
      every: number of training steps from one computation to the next, beginning with the first
        step of each epoch. Steps in between only record which items were drawn.
      held_out: None, or a function without arguments that returns the arguments of the layer for a
        held-out batch: queries, true ids and, if they are used, item table and excluded ids.
      writer: None, or a `tf.summary` writer for the numbers of single steps. It needs the package
        tensorboard, which TensorFlow 2.21 does not install.
      share_drawn: whether to record which items were candidates, in one byte for each item.

    Raises:
      PopSamplerError: `layer` is of another type, or has `AllItems`; `every` is below 1; or the
        catalog has more than 1e8 items, and `share_drawn` is set; or `held_out` is not a
        function, or `writer` not a writer.

    Examples:
      >>> from merlin_popsampler.tf import PopularityBasedSampler
      >>> layer = SampledSoftmax(PopularityBasedSampler(102, 3, 20, 7))
      >>> users, items = tf.keras.Input([], dtype="int64"), tf.keras.Input([], dtype="int64")
      >>> queries = tf.keras.layers.Embedding(50, 8)(users)
      >>> losses = layer(queries, items, tf.keras.layers.Embedding(103, 8))
      >>> model = tf.keras.Model([users, items], losses)
      >>> model.compile("adam", loss=lambda _, losses: losses)
      >>> ids = np.arange(50)
      >>> monitor = SamplingMonitor(layer)
      >>> history = model.fit([ids, ids + 3], ids, verbose=0, callbacks=[monitor]).history
      >>> sorted(name for name in history if "effective" in name)
      ['sampling/effective_samples']
    """

    _supports_tf_logs = True  # Keras 2 converts the logs of every step otherwise

    def __init__(
        self,
        layer: Any,
        *,
        every: int = EVERY,
        held_out: Optional[Callable[[], Sequence[Any]]] = None,
        writer: Any = None,
        share_drawn: bool = True,
    ) -> None:
        super().__init__()
        negatives = getattr(layer, "negatives", layer)
        if not isinstance(layer, SampledSoftmax) or not isinstance(negatives, Mixture):
            raise PopSamplerError(
                "Expected a SampledSoftmax layer with samples, of the model that trains. Received: "
                f"{type(layer).__name__} of {type(negatives).__name__}. Pass the layer itself; "
                "without samples there is nothing to monitor."
            )
        self.layer, self.held_out = layer, checked_held_out(held_out)
        self.writer = checked_writer(writer, "as_default")
        self.every, self.steps = steps_between(every), 0
        size, noted = negatives.domain.size, flag("share_drawn", share_drawn)
        self.observation = Observation(self.every, noted_items(size) if noted else None)
        layer.observation = self.observation
        self._found: List[Dict[str, float]] = []
        self._steps_before_epoch = 0

    def set_model(self, model: Any) -> None:
        """Makes Keras trace the training step again, so that it contains the monitor."""
        if model is not self.model:
            model.train_function = None
        super().set_model(model)

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Starts new means for an epoch, whose first step computes the numbers."""
        self._found, self._steps_before_epoch = [], self.steps
        self.observation.begin()

    def on_train_batch_end(self, batch: int, *_: Any, **__: Any) -> None:
        """Reads the numbers from the layer, and writes them, if the step has computed them."""
        before = self.steps - self._steps_before_epoch
        self.steps = self._steps_before_epoch + batch + 1
        # With `steps_per_execution`, Keras has run several steps since the last call.
        if -(-before // self.every) < -(-(batch + 1) // self.every):
            self._found.append(self.observation.read())
            self._write(self._found[-1])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's name
        """Adds the numbers of the epoch, and the losses of the held-out batch, to its logs."""
        names = self._found[0] if self._found else {}
        found = {name: float(np.mean([each[name] for each in self._found])) for name in names}
        if SHARE_DRAWN in found:  # the value after the last step, not a mean
            found[SHARE_DRAWN] = self.observation.read()[SHARE_DRAWN]
        losses = self.held_out_losses()
        self._write(losses)
        if logs is not None:
            logs.update(found, **losses)

    def held_out_losses(self) -> Dict[str, float]:
        """Computes the losses of the held-out batch; the sampler's stream does not advance.

        Returns:
          "sampling/full_loss" and "sampling/sampled_loss", means in nats; {} without `held_out`.
        """
        if self.held_out is None:
            return {}
        arguments, layer = held_out_batch(self.held_out), self.layer
        with _estimating(layer):
            # In training, losses are scaled so that this is the mean over rows with an item.
            sampled = tf.reduce_mean(partial(layer.call, training=True)(*arguments))
            losses = partial(layer.call, training=False)(*arguments)
        ids = tf.reshape(tf.cast(arguments[1], tf.int64), [-1])
        full = tf.reduce_mean(tf.boolean_mask(losses, layer.negatives.domain.contains(ids)))
        return {FULL_LOSS: float(full), SAMPLED_LOSS: float(sampled)}

    def _write(self, found: Dict[str, float]) -> None:
        if self.writer is not None:
            with self.writer.as_default(step=self.steps):
                for name, value in found.items():
                    tf.summary.scalar(name, value)


@contextmanager
def _estimating(layer: SampledSoftmax) -> Iterator[None]:
    """Sets a layer to estimate the full loss; restores its settings and streams at the end."""
    names = ("observation", "correct_positive", "logq_strength")
    settings = {name: getattr(layer, name) for name in names}
    streams = [tf_variable(each._stream) for each in layer.negatives.samplers]  # noqa: SLF001
    saved = [stream.numpy() for stream in streams]
    layer.observation, layer.correct_positive, layer.logq_strength = None, False, 1.0
    try:
        yield
    finally:
        for name, value in settings.items():
            setattr(layer, name, value)
        for stream, before in zip(streams, saved):
            stream.assign(before)
