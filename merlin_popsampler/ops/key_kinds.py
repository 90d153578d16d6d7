"""What kind a column's keys are, and exact casts from one dtype of a kind to another."""

from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Iterable, Optional, Tuple

import numpy as np

from merlin_popsampler.core.checks import shown
from merlin_popsampler.errors import PopSamplerError

from .key_families import plain_keys, several_families, unusable

_WIDTH = ("bool", "int64", "uint64", "float64")
"""Dtypes of which a later one is taken where an earlier one cannot hold all keys."""

_WITH_NULLS = {"bool": "float64", "int64": "float64", "uint64": "float64"}
"""Dtypes that hold nulls, for those that hold none."""


@dataclass(frozen=True)
class KeyType:
    """What the keys of a column are.

    Keys of two families are never the same key. Keys of one family are the same where they are
    equal as values: 2 and 2.0, or one instant in two time zones.

    Args:
      family: "number", "string", "bool", "bytes", "date", "datetime", "datetime with zone", ...
      dtype: the narrowest dtype of `int64`, `uint64`, `float64` that holds all keys exactly; the
        only one that there is for a family other than numbers.
    """

    family: str
    dtype: str

    @property
    def holds_nulls(self) -> bool:
        """Whether a null can stand beside keys of this dtype."""
        return self.dtype not in _WITH_NULLS

    def with_nulls(self) -> "KeyType":
        """The kind of these keys and nulls beside them."""
        return replace(self, dtype=_WITH_NULLS.get(self.dtype, self.dtype))


def canonical(keys: Any, column: str) -> Tuple[Any, Optional[KeyType]]:
    """Keys as plain values in the narrowest dtype, and what kind they are.

    A column of integers with nulls arrives as floats from some readers, and as integers from
    others; the answer is the same for both.

    Args:
      keys: a series without nulls, of any dtype.
      column: name of the column, for messages.

    Returns:
      The keys, and their kind: None where there are no keys.

    Raises:
      PopSamplerError: keys of several kinds or of none that is known, floats too large to tell
        neighbours apart, or integers that no dtype holds.
    """
    if not len(keys):
        return keys, None
    plain, family = plain_keys(keys, column)
    if family == "number":
        plain = _narrowest(plain, column)
    return plain, KeyType(family, str(plain.dtype))


def merged(kinds: Iterable[Optional[KeyType]], column: str) -> Optional[KeyType]:
    """The kind that holds the keys of all these kinds; None where there are no keys at all.

    Raises:
      PopSamplerError: kinds of two families.
    """
    found = [kind for kind in kinds if kind is not None]
    families = {kind.family for kind in found}
    if len(families) > 1:
        raise several_families(column, families)
    return reduce(_wider, found) if found else None


def cast(keys: Any, kind: Optional[KeyType], column: str) -> Tuple[Any, Any]:
    """Keys in the dtype of a kind, and which of them that dtype holds exactly.

    Args:
      keys: a series without nulls, of any dtype.
      kind: of the vocabulary; None where that holds no keys, so that any kind will do.
      column: name of the column, for messages.

    Returns:
      The keys in that dtype, and a bool series: False where a key cannot be in the vocabulary
      (2.5 among integers). None where all of them can.

    Raises:
      PopSamplerError: as from `canonical`, or keys of another family.
    """
    plain, family = plain_keys(keys, column)
    if kind is None:
        kind = KeyType(family, "int64" if family == "number" else str(plain.dtype))
    if (family, kind.family) == ("bytes", "string"):  # a server hands strings on as their UTF-8
        plain, family = plain.map(_decoded), "string"
    if family != kind.family:
        raise PopSamplerError(
            f"Column {column!r}: expected keys of the vocabulary's kind, {kind.family}. "
            f"Received: {family}, such as {shown(keys.iloc[0])}. "
            "Transform the kind of data that the workflow was fitted on."
        )
    return _exactly(plain, kind.dtype)


def widened(keys: Any, kind: KeyType, column: str) -> Any:
    """Canonical keys of one family in the dtype of their merged kind.

    Raises:
      PopSamplerError: keys that the dtype does not hold exactly.
    """
    values, exact = _exactly(keys, kind.dtype)
    if exact is not None and not bool(exact.all()):
        raise unusable(column, f"{keys[~exact].iloc[0]} among {kind.dtype} numbers")
    return values


def _decoded(key: bytes) -> str:
    """A string's UTF-8; of other bytes a string that no vocabulary holds."""
    return key.decode(errors="surrogateescape")


def _narrowest(keys: Any, column: str) -> Any:
    for dtype in ("int64", "uint64", "float64"):
        values, exact = _exactly(keys, dtype)
        if exact is None or bool(exact.all()):
            return values
    raise unusable(column, f"integers that no dtype holds together, up to {keys.abs().max()}")


def _exactly(keys: Any, dtype: str) -> Tuple[Any, Any]:
    """Keys as this dtype, and which of them have kept their value; None for all of them."""
    if str(keys.dtype) == dtype:
        return keys, None
    held = keys
    if keys.dtype.kind in "fO":  # Python's integers know no bounds
        bounds = np.iinfo("uint64" if dtype == "uint64" else "int64")
        held = keys.where((keys >= bounds.min) & (keys <= bounds.max), 0)
    values = held.astype(dtype)
    # An unsigned integer and the negative one that it turns into turn into each other.
    return values, (values.astype(keys.dtype) == keys) & ((values < 0) == (keys < 0))


def _wider(left: KeyType, right: KeyType) -> KeyType:
    if left.dtype == right.dtype:
        return left
    return max(left, right, key=lambda kind: _WIDTH.index(kind.dtype))
