"""Trains a PyTorch model until the recall of held-out queries stops improving."""

import time
from contextlib import closing
from typing import Any, Callable, Dict, Generator, Iterable, List

import numpy as np
import torch
from stopping import AVERAGED, STEPS, Stopping, newest_share
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

Losses = Generator[torch.Tensor, None, None]
"""Losses of one epoch; each is computed only after the training step of the previous one."""


class Training:
    """Trains a model, and averages its weights in a copy.

    Args:
      model: is trained.
      optimizer: of its parameters.

    Attributes:
      averaged: the copy.
    """

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._model, self._optimizer = model, optimizer
        self._averages = AveragedModel(model, multi_avg_fn=_average)
        self.averaged: Any = self._averages.module

    def epoch(self, losses: Iterable[torch.Tensor], deadline: float = np.inf) -> int:
        """Trains on an epoch, or until the deadline, and returns its number of batches.

        Args:
          losses: of the batches, each computed when it is asked for.
          deadline: a reading of `time.perf_counter`.
        """
        steps = 0
        for loss in losses:
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            steps += 1
            if steps % AVERAGED == 0:
                self._averages.update_parameters(self._model)
            if time.perf_counter() > deadline:
                break
        if steps % AVERAGED:
            self._averages.update_parameters(self._model)
        return steps


def _average(averages: List[torch.Tensor], weights: List[torch.Tensor], updates: Any) -> None:
    for average, weight in zip(averages, weights):
        average.lerp_(weight, newest_share(int(updates)))


def train_until_no_better(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    losses: Callable[[], Losses],
    measure: Callable[[Any], Dict[str, float]],
    *,
    epochs: int,
    minutes: float,
    name: str = "",
) -> Stopping:
    """Trains a model, and leaves its best weights in it, or the best averages of them.

    Both are measured after each `STEPS` batches or more, and when training ends. `Stopping` decides
    when it ends.

    Args:
      model: is trained.
      optimizer: of its parameters.
      losses: starts an epoch.
      measure: returns the metrics of a model; `recall@20` decides.
      epochs: most epochs.
      minutes: most minutes; this limit interrupts an epoch.
      name: label of the progress bar.

    Returns:
      The measurements.
    """
    training, stopping = Training(model, optimizer), Stopping()
    stopping.judge(0, measure(model))
    weights = _weights(model)
    deadline, steps = time.perf_counter() + 60 * minutes, 0
    for epoch in range(1, epochs + 1):
        with closing(losses()) as epoch_losses:
            shown = tqdm(epoch_losses, desc=f"train {name}", disable=None)
            steps += training.epoch(shown, deadline)
        last = epoch == epochs or time.perf_counter() > deadline
        if steps < STEPS and not last:
            continue
        of_weights = None if stopping.averaged else measure(model)
        steps, verdict = 0, stopping.judge(epoch, of_weights, measure(training.averaged))
        if verdict.keep:
            weights = _weights(training.averaged if stopping.averaged else model)
        if verdict.stop or last:
            break
    model.load_state_dict(weights)
    return stopping


def _weights(model: torch.nn.Module) -> Dict[str, Any]:
    return {name: each.clone() for name, each in model.state_dict().items()}
