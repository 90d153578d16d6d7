"""Names and defines the numbers that show how well samples estimate the full softmax."""

from typing import Any, Dict, Sequence

import numpy as np

from merlin_popsampler.errors import PopSamplerError

from .checks import truncate_repr, whole_number

ACCIDENTAL_HITS = "sampling/accidental_hits"
EFFECTIVE_SAMPLES = "sampling/effective_samples"
LARGEST_CORRECTION = "sampling/largest_correction"
ROWS_WITHOUT_ITEM = "sampling/rows_without_item"
STEP_NUMBERS = (ACCIDENTAL_HITS, EFFECTIVE_SAMPLES, LARGEST_CORRECTION, ROWS_WITHOUT_ITEM)
"""The numbers of one training step, in the order in which frameworks compute them."""
SHARE_DRAWN = "sampling/share_drawn"
"""Share of the items that were a candidate at least once since the monitor began, from 0 to 1."""
FULL_LOSS = "sampling/full_loss"
"""Mean cross-entropy of the full softmax over a held-out batch, in nats."""
SAMPLED_LOSS = "sampling/sampled_loss"
"""Estimate of `FULL_LOSS` from samples: the logQ correction applies fully to the negatives only."""

EVERY = 100
"""Default number of training steps from one computation of the numbers to the next."""
MOST_ITEMS = 10**8
"""Largest catalog for which the items that were drawn are recorded, one byte for each item."""


def step_numbers(logits: Any, hits: Any, corrections: Any, has_item: Any) -> Dict[str, float]:
    """Computes the numbers of one training step in NumPy, as a reference for every framework.

    Args:
      logits: floats `[rows, n]`, corrected logits of the candidates; masked ones are -inf.
      hits: bool `[rows, n]`, whether a candidate is the row's positive or an excluded id. The row's
        own entry among in-batch negatives is not a hit.
      corrections: floats of any shape, the logarithms of expected counts that are subtracted from
        logits, in nats.
      has_item: bool `[rows]`, whether the row's positive is an item (not padding, for example).

    Returns:
      Floats by name:

      - `ACCIDENTAL_HITS`: mean number of hits of the rows with an item.
      - `EFFECTIVE_SAMPLES`: mean of `(sum of w)^2 / sum of w^2` over the rows with an item, where w
        are the exponentials of the logits. It is 1 if one candidate dominates, n if all are equal,
        and 0 if all are masked.
      - `LARGEST_CORRECTION`: largest absolute correction, in nats.
      - `ROWS_WITHOUT_ITEM`: number of rows without an item.

      A mean over no rows is NaN.

    Examples:
      >>> logits = np.log([[1.0, 1.0, 1e-30], [4.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
      >>> hits = np.array([[False, False, True], [False] * 3, [True] * 3])
      >>> numbers = step_numbers(logits, hits, [0.5, -2.0], np.array([True, True, False]))
      >>> [round(numbers[name], 2) for name in STEP_NUMBERS]
      [0.5, 2.17, 2.0, 1.0]

    References:
      Kong 1992, "A note on importance sampling using standardized weights".
    """
    weights = np.exp(np.asarray(logits, np.float64)[has_item])
    squares = (weights**2).sum(1)
    effective = weights.sum(1) ** 2 / np.where(squares > 0.0, squares, 1.0)
    rows = int(np.sum(has_item))
    return {
        ACCIDENTAL_HITS: float(hits[has_item].sum(1).mean()) if rows else np.nan,
        EFFECTIVE_SAMPLES: float(effective.mean()) if rows else np.nan,
        LARGEST_CORRECTION: float(np.abs(corrections).max()),
        ROWS_WITHOUT_ITEM: float(len(has_item) - rows),
    }


def steps_between(every: Any) -> int:
    """Returns the number of training steps from one computation of the numbers to the next.

    Args:
      every: the value to check.

    Raises:
      PopSamplerError: the value is not a whole number `>= 1`.

    Examples:
      >>> steps_between(100)
      100
    """
    return whole_number(
        "every", every, 1, f"Pass {EVERY} to compute numbers at each {EVERY}th step."
    )


def checked_held_out(held_out: Any) -> Any:
    """Returns the function for a held-out batch, or None.

    A monitor calls it at the end of an epoch, so a wrong value is refused before the training.

    Args:
      held_out: the value to check.

    Raises:
      PopSamplerError: the value is neither a function nor None.

    Examples:
      >>> checked_held_out(None) is None
      True
    """
    if held_out is None or callable(held_out):
        return held_out
    raise PopSamplerError(
        "Expected held_out to be a function without arguments. Received: "
        f"{type(held_out).__name__}. Pass a function, lambda: (queries, true_ids, item_table), "
        "since the vectors change during training."
    )


def checked_writer(writer: Any, method: str) -> Any:
    """Returns the writer of a monitor, or None.

    Args:
      writer: the value to check.
      method: name of the method that the monitor calls.

    Raises:
      PopSamplerError: the value has no such method, as the path of a folder has none.

    Examples:
      >>> checked_writer(None, "add_scalar") is None
      True
    """
    if writer is None or callable(getattr(writer, method, None)):
        return writer
    raise PopSamplerError(
        f"Expected a writer that has the method {method}. Received: {truncate_repr(writer)}. Make "
        "one of a folder: SummaryWriter(folder) of torch.utils.tensorboard, or "
        "tf.summary.create_file_writer(folder)."
    )


def held_out_batch(held_out: Any) -> Sequence[Any]:
    """Calls the function for a held-out batch, and returns the arguments of a loss.

    Args:
      held_out: a function without arguments.

    Raises:
      PopSamplerError: the result is not a tuple or list of two values or more.

    Examples:
      >>> len(held_out_batch(lambda: (np.ones([1, 4]), np.array([3]))))
      2
    """
    found = held_out()
    if isinstance(found, (tuple, list)) and len(found) > 1:
        return found
    raise PopSamplerError(
        "Expected held_out to return a tuple: queries, true ids, item table and excluded ids, as "
        f"far as the loss needs them. Received: {truncate_repr(type(found).__name__)}. Return "
        "the arguments of the loss for a held-out batch."
    )


def noted_items(size: int) -> int:
    """Returns the number of items of a catalog, if it is small enough to record drawn items.

    Args:
      size: the number of items.

    Raises:
      PopSamplerError: the catalog has more than `MOST_ITEMS` items.

    Examples:
      >>> noted_items(1000)
      1000
    """
    advice = "Pass share_drawn=False: the other numbers need no memory for each item."
    return whole_number("the number of items whose draws are noted", size, 1, advice, MOST_ITEMS)
