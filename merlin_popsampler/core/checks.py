"""Numbers that users and schema files pass, checked in one place and by one rule."""

import numbers
import operator
from typing import Any, Optional

import numpy as np

from merlin_popsampler.errors import PopSamplerError

_EXACT = 2**53
"""Floats hold every whole number up to here, and not every one above."""


def whole_number(
    name: str, value: Any, at_least: int, advice: str, at_most: Optional[int] = None
) -> int:
    """The value as a Python integer.

    Integers of any library will do, and floats without a fraction, since Merlin's schema files turn
    integers into floats; bools, words and fractions will not.

    Args:
      name: of the argument, for the message.
      value: what was passed.
      at_least: smallest value allowed.
      advice: what to do instead, a sentence.
      at_most: largest value allowed; None for any.

    Raises:
      PopSamplerError: anything else.

    Examples:
      >>> whole_number("max_id", 7.0, 0, "Take it from the schema.")
      7
    """
    number = _as_integer(value)
    if number is None or number < at_least or (at_most is not None and number > at_most):
        limits = f">= {at_least}" + ("" if at_most is None else f" and <= {at_most}")
        raise PopSamplerError(
            f"Expected {name} to be a whole number {limits}. Received: {value!r}. {advice}"
        )
    return number


def batch_size(name: str, value: Any, size: int, unique: bool) -> int:
    """The number of draws of a batch, which cannot hold more distinct items than there are.

    Args:
      name: of the argument, for the message.
      value: what was passed.
      size: number of items.
      unique: whether the draws are distinct.

    Raises:
      PopSamplerError: not a whole number from 1 on, or more unique draws than items.

    Examples:
      >>> batch_size("num_sampled", 7, size=7, unique=True)
      7
    """
    number = whole_number(name, value, 1, "Take some hundreds.")
    if unique and number > size:
        raise PopSamplerError(
            f"Expected at most {size} unique samples, the number of items. "
            f"Received: {name}={number}. Draw fewer, or pass unique=False."
        )
    return number


def _as_integer(value: Any) -> Optional[int]:
    if isinstance(value, (bool, np.bool_)):
        return None
    try:
        return operator.index(value)
    except TypeError:
        real = float(value) if isinstance(value, numbers.Real) else 0.5
        return int(real) if abs(real) <= _EXACT and real.is_integer() else None
