"""What kind the keys of a column are, decided here alone, and exact casts within a kind."""

import datetime as dt
import decimal
import operator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Iterable, Optional, Set, Tuple

import numpy as np
import pandas as pd
from merlin.core import dispatch

from merlin_popsampler.errors import PopSamplerError

_TYPES = (
    ("bool", (bool, np.bool_)),
    ("number", (int, float, np.integer, np.floating)),
    ("word", (str,)),
    ("bytes", (bytes,)),
    ("decimal", (decimal.Decimal,)),
    ("datetime", (dt.datetime,)),
    ("date", (dt.date,)),
    ("time", (dt.time,)),
    ("timedelta", (dt.timedelta,)),
)
"""Families of keys by their Python types; the first that fits (a bool is an int to Python)."""

_DTYPES = {
    "b": "bool",
    "i": "number",
    "u": "number",
    "f": "number",
    "M": "datetime",
    "m": "timedelta",
}
"""Families of keys by the kind of their NumPy dtype."""

_STORED = {
    "bool": "bool",
    "datetime": "datetime64[ns]",
    "datetime with zone": "datetime64[ns, UTC]",
    "timedelta": "timedelta64[ns]",
}
"""Dtype of a family's keys; numbers have several, and all other families are objects."""

_WIDTH = ("bool", "int64", "uint64", "float64")
"""Dtypes of which a later one is taken where an earlier one cannot hold all keys."""

_WITH_NULLS = {"bool": "float64", "int64": "float64", "uint64": "float64"}
"""Dtypes that hold nulls, for those that hold none."""

EXACT = 2 ** (np.finfo(np.float64).nmant + 1)
"""Below this, each whole number has a float64 of its own."""


RAW_COLUMN = (
    "Where an operator leaves a partition without rows, Merlin hands on the raw column: filter the "
    "data before the workflow, or leave no partition without rows."
)


@dataclass(frozen=True)
class KeyKind:
    """What the keys of a column are.

    Keys of two families are never the same key. Keys of one family are the same where they are
    equal as values: 2 and 2.0, or one instant in two time zones.

    Args:
      family: "number", "word", "bool", "bytes", "date", "datetime", "datetime with zone", ...
      dtype: the narrowest dtype of `int64`, `uint64`, `float64` that holds all keys exactly; the
        only one that there is for a family other than numbers.
    """

    family: str
    dtype: str

    @property
    def holds_nulls(self) -> bool:
        """Whether a null can stand beside keys of this dtype."""
        return self.dtype not in _WITH_NULLS

    def with_nulls(self) -> "KeyKind":
        """The kind of these keys and nulls beside them."""
        return replace(self, dtype=_WITH_NULLS.get(self.dtype, self.dtype))


def canonical(keys: Any, column: str) -> Tuple[Any, Optional[KeyKind]]:
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
    plain, family = _plain(keys, column)
    if family == "number":
        plain = _narrowest(plain, column)
    return plain, KeyKind(family, str(plain.dtype))


def merged(kinds: Iterable[Optional[KeyKind]], column: str) -> Optional[KeyKind]:
    """The kind that holds the keys of all these kinds; None where there are no keys at all.

    Raises:
      PopSamplerError: kinds of two families.
    """
    found = [kind for kind in kinds if kind is not None]
    families = {kind.family for kind in found}
    if len(families) > 1:
        raise _several_kinds(column, families)
    return reduce(_wider, found) if found else None


def cast(keys: Any, kind: Optional[KeyKind], column: str) -> Tuple[Any, Any]:
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
    plain, family = _plain(keys, column)
    if kind is None:
        kind = KeyKind(family, "int64" if family == "number" else str(plain.dtype))
    if family != kind.family:
        raise PopSamplerError(
            f"Column {column!r}: expected keys of the vocabulary's kind, {kind.family}. "
            f"Received: {family}, such as {keys.iloc[0]!r}. "
            "Transform the kind of data that the workflow was fitted on."
        )
    return _exactly(plain, kind.dtype)


def filled(keys: Any, null: Any) -> Any:
    """Keys without nulls, which are made the first of the keys; there must be one."""
    keys = keys.copy()
    # Not by fillna or where: pandas guesses the dtype of objects anew there.
    keys[null] = keys[~null].iloc[0]
    return keys


def without(keys: Any, null: Any) -> Any:
    """Keys with nulls put where they belong."""
    keys = keys.copy()
    keys[null] = None
    return keys


def widened(keys: Any, kind: KeyKind, column: str) -> Any:
    """Canonical keys of one family in the dtype of their merged kind.

    Raises:
      PopSamplerError: keys that the dtype does not hold exactly.
    """
    values, exact = _exactly(keys, kind.dtype)
    if exact is not None and not bool(exact.all()):
        raise unusable(column, f"{keys[~exact].iloc[0]} among {kind.dtype} numbers")
    return values


def _plain(keys: Any, column: str) -> Tuple[Any, str]:
    """Keys without categories, extension types and time zones, and their family."""
    dtype = keys.dtype
    if hasattr(dtype, "categories"):
        return _plain(keys.astype(dtype.categories.dtype), column)
    if isinstance(getattr(dtype, "numpy_dtype", None), np.dtype):
        keys = keys.astype(dtype.numpy_dtype)
    elif not isinstance(dtype, np.dtype) and getattr(dtype, "kind", "O") != "M":
        keys = keys.astype(object) if dispatch.is_cpu_object(keys) else keys
    family = _family(keys, column)
    stored = _STORED.get(family)
    if stored is not None and str(keys.dtype) != stored:
        try:
            # objects of one column may each have a zone of their own
            several = family.endswith("zone") and keys.dtype == object
            keys = pd.to_datetime(keys, utc=True) if several else keys.astype(stored)
        except ValueError as error:
            raise unusable(column, f"{family} keys outside of {stored} ({error})") from None
    return keys, family


def _family(keys: Any, column: str) -> str:
    """The one family of these keys."""
    dtype = keys.dtype
    if getattr(dtype, "kind", "O") in _DTYPES:
        if dtype.kind == "f":
            _check_floats(keys, {dtype.type}, column)
        return _DTYPES[dtype.kind] + (" with zone" if hasattr(dtype, "tz") else "")
    if not dispatch.is_cpu_object(keys):
        return "decimal" if str(dtype).startswith("decimal") else "word"
    # The types themselves: pandas' infer_dtype takes a date and a datetime for two dates.
    types = set(map(type, keys.values))
    families = {_family_of_type(found, column) for found in types}
    if families in ({"datetime"}, {"time"}):
        families = {f"{next(iter(families))}{zone}" for zone in _zones(keys)}
    if len(families) > 1:
        raise _several_kinds(column, families)
    if "time with zone" in families:
        raise unusable(column, "times with a zone, but without a date")
    floats = {found for found in types if issubclass(found, (float, np.floating))}
    if floats:
        _check_floats(keys[keys.map(type).isin(floats)], floats, column)
    return families.pop()


def _zones(keys: Any) -> Set[str]:
    """Whether there are keys without and with a time zone, as a family's names tell it."""
    zoned = keys.map(operator.attrgetter("tzinfo")).notna()
    return {" with zone" if zone else "" for zone in zoned.unique()}


def _family_of_type(found: type, column: str) -> str:
    for family, types in _TYPES:
        if issubclass(found, types):
            return family
    raise unusable(column, f"keys of type {found.__name__}")


def _check_floats(keys: Any, types: Set[type], column: str) -> None:
    """Refuses floats so large that different numbers have become one."""
    narrow: Any = min((np.dtype(found) for found in types), key=lambda dtype: dtype.itemsize)
    bits = np.finfo(narrow).nmant + 1
    largest = keys.abs().max()
    if not largest < 2**bits:
        raise inexact(column, f"{narrow} keys up to {float(largest):.17g}", bits)


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


def _wider(left: KeyKind, right: KeyKind) -> KeyKind:
    if left.dtype == right.dtype:
        return left
    return max(left, right, key=lambda kind: _WIDTH.index(kind.dtype))


def _several_kinds(column: str, families: Iterable[str]) -> PopSamplerError:
    error: PopSamplerError = PopSamplerError(
        f"Column {column!r}: expected keys of one kind, since no order and no equality holds "
        f"between kinds. Received: {' and '.join(sorted(families))}. Convert all of the column, "
        f"in all of its files, to one of them. {RAW_COLUMN}"
    )
    return error


def inexact(column: str, received: str, bits: int = 53) -> PopSamplerError:
    """The error for numbers that are, or elsewhere would be, rounded before we see them."""
    error: PopSamplerError = PopSamplerError(
        f"Column {column!r}: expected floats, and integers beside nulls, of which a reader makes "
        f"floats, to be exact: below 2**{bits}. Received: {received}, where different numbers "
        "become one value. Store the column as words, or fill its nulls before it is read."
    )
    return error


def unusable(
    column: str, received: str, advice: str = "Convert the column to words."
) -> PopSamplerError:
    """The error for keys that are of no known kind, or that no file holds."""
    error: PopSamplerError = PopSamplerError(
        f"Column {column!r}: expected numbers, words, bytes, bools, decimals, dates or times as "
        f"keys, or lists of these. Received: {received}. {advice}"
    )
    return error
