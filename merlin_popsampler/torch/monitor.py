"""Reports how well the samples of a loss estimate the full softmax, while a model trains."""

from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, Optional, Sequence

import torch

from merlin_popsampler.core.checks import flag
from merlin_popsampler.core.sampling_numbers import (
    EVERY,
    FULL_LOSS,
    SAMPLED_LOSS,
    checked_held_out,
    checked_writer,
    held_out_batch,
    noted_items,
    steps_between,
)
from merlin_popsampler.errors import PopSamplerError

from .all_items import AllItems
from .observation import Observation
from .sampled_softmax import SampledSoftmaxLoss


class SamplingMonitor:
    """Reports how well the samples of a loss estimate the full softmax, while a model trains.

    Training steps have accidental hits, effective samples, the largest correction, rows without an
    item and the share of items drawn. A held-out batch has the full and the sampled loss.
    `core.sampling_numbers` defines them.

    Call `step()` after each training step and `end_epoch()` after each epoch. In Lightning, pass
    the monitor to `Trainer(callbacks=[...])`, which calls it and logs the numbers. In distributed
    training, each rank reports its own numbers.

    Args:
      loss: the `SampledSoftmaxLoss` of the training; its negatives must be sampled or in-batch.
      every: number of training steps from one computation to the next, beginning with the first
        step. Steps in between only record which items were drawn.
      held_out: None, or a function without arguments that returns the arguments of the loss for a
        held-out batch: queries, true ids, item table and, if there are any, excluded ids.
      writer: None, or an object with `add_scalar(name, value, step)`, such as TensorBoard's
        `SummaryWriter`.
      share_drawn: whether to record which items were candidates, in one byte for each item.

    Raises:
      PopSamplerError: `loss` is of another type, or has `AllItems`; `every` is below 1; or the
        catalog has more than 1e8 items, and `share_drawn` is set; or `held_out` is not a
        function, or `writer` not a writer.

    Examples:
      >>> from merlin_popsampler.torch import PopularityBasedSampler
      >>> sampler = PopularityBasedSampler(max_id=1002, min_id=3, max_num_samples=100, seed=7)
      >>> loss, items = SampledSoftmaxLoss(sampler), torch.nn.Embedding(1003, 16)
      >>> monitor = SamplingMonitor(loss, every=2)
      >>> for step in range(3):
      ...     loss(torch.randn(2, 16), torch.tensor([3, 900]), items).backward()
      ...     print(sorted(monitor.step())[:2])
      ['sampling/accidental_hits', 'sampling/effective_samples']
      []
      ['sampling/accidental_hits', 'sampling/effective_samples']
    """

    state_key = "SamplingMonitor"
    """The name of the monitor's state in a checkpoint of Lightning."""

    def __init__(
        self,
        loss: Any,
        *,
        every: int = EVERY,
        held_out: Optional[Callable[[], Sequence[Any]]] = None,
        writer: Any = None,
        share_drawn: bool = True,
    ) -> None:
        if not isinstance(loss, SampledSoftmaxLoss) or isinstance(loss.negatives, AllItems):
            negatives = getattr(loss, "negatives", loss)
            raise PopSamplerError(
                "Expected a SampledSoftmaxLoss with samples, of the model that trains. Received: "
                f"{type(loss).__name__} of {type(negatives).__name__}. Pass the loss module "
                "itself; with AllItems there is nothing to monitor."
            )
        self.loss, self.held_out = loss, checked_held_out(held_out)
        self.writer = checked_writer(writer, "add_scalar")
        self.every, self.steps = steps_between(every), 0
        size, noted = loss.negatives.domain.size, flag("share_drawn", share_drawn)
        self.observation = Observation(noted_items(size) if noted else None)
        loss.observation = self.observation

    def step(self) -> Dict[str, float]:
        """Counts a training step.

        Returns:
          The numbers of the step by name, such as "sampling/effective_samples"; {} for a step in
          which they were not computed.
        """
        found = self.observation.read() if self.observation.due else {}
        self.steps += 1
        self.observation.due = self.steps % self.every == 0
        self._write(found)
        return found

    def end_epoch(self) -> Dict[str, float]:
        """Computes the losses of the held-out batch; the sampler's stream does not advance.

        Returns:
          "sampling/full_loss" and "sampling/sampled_loss", means in nats; {} without `held_out`.
        """
        if self.held_out is None:
            return {}
        arguments, loss = held_out_batch(self.held_out), self.loss
        estimate = SampledSoftmaxLoss(
            loss.negatives, loss.temperature, correct_positive=False, reduction="none"
        )
        with torch.no_grad():
            losses, ranks = loss.evaluate(*arguments)
            with _streams_put_back(loss):
                sampled = estimate(*arguments)
        rows = ranks >= 0
        found = {FULL_LOSS: losses[rows].mean().item(), SAMPLED_LOSS: sampled[rows].mean().item()}
        self._write(found)
        return found

    def _write(self, found: Dict[str, float]) -> None:
        if self.writer is not None:
            for name, value in found.items():
                self.writer.add_scalar(name, value, self.steps)

    # Hooks of Lightning's callbacks. Lightning is not imported, since it has two package names.

    def on_train_batch_end(self, _: Any, module: Any, *__: Any, **___: Any) -> None:
        """Logs the numbers of a step in Lightning."""
        module.log_dict(self.step())

    def on_train_epoch_end(self, _: Any, module: Any) -> None:
        """Logs the losses of the held-out batch in Lightning."""
        module.log_dict(self.end_epoch())

    def state_dict(self) -> Dict[str, int]:
        """Returns the number of steps, for a checkpoint."""
        return {"steps": self.steps}

    def load_state_dict(self, state: Dict[str, int]) -> None:
        """Continues the count of steps from the result of `state_dict`."""
        self.steps = state["steps"]
        self.observation.due = self.steps % self.every == 0

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Returns a function that does nothing for all other hooks of Lightning's callbacks."""
        if name.startswith("on_") or name in ("setup", "teardown"):
            return _nothing
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _nothing(*_: Any, **__: Any) -> None:
    """Replaces a hook that the monitor does not use."""


@contextmanager
def _streams_put_back(loss: SampledSoftmaxLoss) -> Iterator[None]:
    """Restores the streams of a loss at the end, so that monitoring does not change training."""
    states = [sampler.stream.state for sampler in loss.negatives.samplers]
    saved = [state.clone() for state in states]
    try:
        yield
    finally:
        for state, before in zip(states, saved):
            state.copy_(before)
