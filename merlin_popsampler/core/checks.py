"""Validates numbers from users and schema files."""

import numbers
import operator
from typing import Any, Optional, Sequence

import numpy as np

from merlin_popsampler.errors import PopSamplerError

_EXACT = 2**53
"""Largest number up to which float64 represents every whole number."""
LONGEST_LIST = 10**9
"""Largest length of a list of all ids, 4 GB of float32. Embedding tables are shorter."""


def whole_number(
    name: str, value: Any, at_least: int, advice: str, at_most: Optional[int] = None
) -> int:
    """Returns a value as a Python integer.

    Accepts integers of any library, and floats without a fraction, since Merlin's schema files turn
    integers into floats. Rejects bools, strings and fractions.

    Args:
      name: name of the argument, for the message.
      value: the value to check.
      at_least: smallest value allowed, inclusive.
      advice: a sentence for the message that tells what to do instead.
      at_most: largest value allowed, inclusive; None for no limit.

    Raises:
      PopSamplerError: the value is not a whole number in this range.

    Examples:
      >>> whole_number("max_id", 7.0, 0, "Take it from the schema.")
      7
    """
    number = _as_integer(value)
    if number is None or number < at_least or (at_most is not None and number > at_most):
        limits = f">= {at_least}" + ("" if at_most is None else f" and <= {at_most}")
        raise PopSamplerError(
            f"Expected {name} to be a whole number {limits}. Received: {truncate_repr(value)}. "
            f"{advice}"
        )
    return number


def is_number(value: Any) -> bool:
    """Tests whether a value is a real number of any library; bools are not.

    Examples:
      >>> [is_number(value) for value in (0.5, np.float32(2), True, "2", None)]
      [True, True, False, False, False]
    """
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def positive_number(name: str, value: Any, advice: str) -> float:
    """Returns a value as a float.

    Args:
      name: name of the argument, for the message.
      value: the value to check.
      advice: a sentence for the message that tells what to do instead.

    Raises:
      PopSamplerError: the value is not a finite number above 0.

    Examples:
      >>> positive_number("temperature", 1, "Pass 1.0.")
      1.0
    """
    if not (is_number(value) and 0.0 < value < np.inf):
        raise PopSamplerError(
            f"Expected {name} to be a finite number above 0. Received: {truncate_repr(value)}. "
            f"{advice}"
        )
    return float(value)


def fraction(name: str, value: Any, advice: str) -> float:
    """Returns a value as a float.

    Args:
      name: name of the argument, for the message.
      value: the value to check.
      advice: a sentence for the message that tells what to do instead.

    Raises:
      PopSamplerError: the value is not a number from 0 to 1, both inclusive.

    Examples:
      >>> fraction("logq_strength", 1, "Pass 1.0.")
      1.0
    """
    if not (is_number(value) and 0.0 <= value <= 1.0):
        raise PopSamplerError(
            f"Expected {name} to be a number from 0 to 1. Received: {truncate_repr(value)}. "
            f"{advice}"
        )
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Returns a value as a bool; accepts bools of any library, and the integers 0 and 1.

    Scalar arrays and tensors count as their value.

    Args:
      name: name of the argument, for the message.
      value: the value to check.

    Raises:
      PopSamplerError: the value is another one, such as the text "False", which Python counts as
        true.

    Examples:
      >>> flag("unique", 0)
      False
    """
    if not (_is_bool(value) or _as_integer(value) in (0, 1)):
        raise PopSamplerError(
            f"Expected {name} to be True or False. Received: {truncate_repr(value)}. Pass a bool: "
            "Python counts any text as true."
        )
    return bool(value)


def choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Returns a value that is one of several strings.

    Args:
      name: name of the argument, for the message.
      value: the value to check.
      choices: the strings, of which the first is the default.

    Raises:
      PopSamplerError: the value is none of them.

    Examples:
      >>> choice("mode", "count", ("count", "vocabulary"))
      'count'
    """
    if not isinstance(value, str) or value not in choices:
        raise PopSamplerError(
            f"Expected {name} to be one of {list(choices)}. Received: {truncate_repr(value)}. "
            f"Leave it at its default, {choices[0]!r}."
        )
    return value


def catalog_size(size: Any) -> int:
    """Returns the number of items of a catalog as an integer from 1 to 2**53.

    Schema files store integers as float64, which is exact up to 2**53.

    Args:
      size: the value to check.

    Raises:
      PopSamplerError: the size is not a whole number in this range.

    Examples:
      >>> catalog_size(8.0)
      8
    """
    advice = "A distribution needs at least one item: check min_id and max_id."
    return whole_number("the size of a catalog", size, 1, advice, _EXACT)


def list_length(number_of_ids: int) -> int:
    """Returns the length of a list of all ids, if it fits in memory.

    Args:
      number_of_ids: the length to check.

    Raises:
      PopSamplerError: the length exceeds `LONGEST_LIST`.

    Examples:
      >>> list_length(1003)
      1003
    """
    advice = "Ask for the ids that you need: distribution.prob(ranks), or sampler.probability(ids)."
    return whole_number("the length of a list of all ids", number_of_ids, 0, advice, LONGEST_LIST)


def frozen_array(name: str, values: Any, dtype: Any) -> Any:
    """Copies numbers to a read-only array.

    Args:
      name: name of the argument, for the message.
      values: numbers of any library and shape.
      dtype: `np.int64` or `np.float64`, the dtype of the result.

    Raises:
      PopSamplerError: the values are not numbers, or not whole numbers of 64 bits if `dtype` is
        int64.

    Examples:
      >>> frozen_array("starts", [0.0, 3.0], np.int64).tolist()
      [0, 3]
    """
    try:
        given = np.asarray(values)
        with np.errstate(invalid="ignore"):
            array = np.array(given, dtype)
        fine = given.dtype.kind in "iuf" and (dtype is not np.int64 or (array == given).all())
    except (TypeError, ValueError, OverflowError):
        fine = False
    if not fine:
        kind = "whole numbers of 64 bits" if dtype is np.int64 else "numbers"
        raise PopSamplerError(
            f"Expected {name} to be {kind}. Received: {truncate_repr(values)}. "
            "Pass a flat list of them."
        )
    array.setflags(write=False)
    return array


def batch_size(name: str, value: Any, size: int, unique: bool) -> int:
    """Returns the number of draws of a batch, at most `size` if the draws are distinct.

    Args:
      name: name of the argument, for the message.
      value: the value to check.
      size: number of items.
      unique: whether the draws are distinct.

    Raises:
      PopSamplerError: the value is not a whole number `>= 1`, or exceeds `size` if `unique`.

    Examples:
      >>> batch_size("num_sampled", 7, size=7, unique=True)
      7
    """
    number = whole_number(name, value, 1, "Take one, or more.")
    if unique and number > size:
        raise PopSamplerError(
            f"Expected at most {size} unique samples, the number of items. "
            f"Received: {name}={number}. Draw fewer, or pass unique=False."
        )
    return number


def truncate_repr(value: Any) -> str:
    """Returns the `repr` of a value for a message, truncated after 60 characters.

    Examples:
      >>> truncate_repr("item")
      "'item'"
    """
    # NumPy 2 writes np.float64(0.5) for 0.5.
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _is_bool(value: Any) -> bool:
    """Tests for a bool, or a scalar array or tensor of that dtype."""
    if isinstance(value, (bool, np.bool_)):
        return True
    return getattr(value, "shape", None) == () and "bool" in str(getattr(value, "dtype", ""))


def _as_integer(value: Any) -> Optional[int]:
    if isinstance(value, (bool, np.bool_)):
        return None
    try:
        return operator.index(value)
    except (TypeError, AttributeError):  # a tensor of TensorFlow asks its NumPy value for the index
        real = float(value) if isinstance(value, numbers.Real) else 0.5
        return int(real) if abs(real) <= _EXACT and real.is_integer() else None
