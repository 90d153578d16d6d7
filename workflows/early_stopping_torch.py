"""Trains a PyTorch model until the recall of held-out queries stops improving."""

import time
from contextlib import closing
from typing import Any, Callable, Dict, Generator, Iterable

import numpy as np
import torch
from stopping import SLOWER, STEPS, Stopping
from tqdm import tqdm

Losses = Generator[torch.Tensor, None, None]
"""Losses of one epoch; each is computed when it is asked for, after the step of the one before."""


def train_epoch(
    optimizer: torch.optim.Optimizer, losses: Iterable[torch.Tensor], deadline: float = np.inf
) -> int:
    """Trains on an epoch, or until the deadline, and returns its number of batches.

    Args:
      optimizer: makes a step for each loss.
      losses: of the batches, each computed when it is asked for.
      deadline: a reading of `time.perf_counter`.
    """
    steps = 0
    for loss in losses:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        if time.perf_counter() > deadline:
            break
    return steps


def train_until_no_better(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    losses: Callable[[], Losses],
    measure: Callable[[], Dict[str, float]],
    *,
    epochs: int,
    minutes: float,
    name: str = "",
) -> Stopping:
    """Trains a model, measures it after at least `STEPS` batches, and leaves its best weights.

    `Stopping` decides when training continues from the best weights with a smaller learning rate,
    and when it ends.

    Args:
      model: its best weights are kept.
      optimizer: of its parameters; its learning rates are lowered.
      losses: starts an epoch.
      measure: returns the metrics of the current model; `recall@20` decides.
      epochs: most epochs.
      minutes: most minutes; this limit interrupts an epoch.
      name: label of the progress bar.

    Returns:
      The measurements.
    """
    stopping, weights = Stopping(), _weights(model)
    stopping.judge(0, measure())
    deadline, steps = time.perf_counter() + 60 * minutes, 0
    for epoch in range(1, epochs + 1):
        with closing(losses()) as epoch_losses:
            shown = tqdm(epoch_losses, desc=f"train {name}", disable=None)
            steps += train_epoch(optimizer, shown, deadline)
        last = epoch == epochs or time.perf_counter() > deadline
        if steps < STEPS and not last:
            continue
        steps, verdict = 0, stopping.judge(epoch, measure())
        if verdict.keep:
            weights = _weights(model)
        if verdict.slower:
            model.load_state_dict(weights)
            for group in optimizer.param_groups:
                group["lr"] *= SLOWER
        if verdict.stop or last:
            break
    model.load_state_dict(weights)
    return stopping


def _weights(model: torch.nn.Module) -> Dict[str, Any]:
    return {name: each.clone() for name, each in model.state_dict().items()}
