"""Determines the type of a column's keys, and casts keys without rounding.

Types belong to families, such as numbers or strings. Keys of different families are never equal,
and have no order.
"""

import datetime as dt
import decimal
import operator
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from typing import Any, Dict, Iterable, Optional, Set, Tuple

import numpy as np
import pandas as pd
import pyarrow as pa
from merlin.core import dispatch
from pandas.api.types import infer_dtype

from merlin_popsampler.core.checks import truncate_repr
from merlin_popsampler.errors import PopSamplerError

_TYPES = (
    ("bool", (bool, np.bool_)),
    ("number", (int, float, np.integer, np.floating)),
    ("string", (str,)),
    ("bytes", (bytes,)),
    ("decimal", (decimal.Decimal,)),
    ("datetime", (dt.datetime,)),
    ("date", (dt.date,)),
    ("time", (dt.time,)),
    ("timedelta", (dt.timedelta,)),
)
"""Families of keys by Python type. The first match counts, since bool is a subclass of int."""

_ADVICE: Dict[type, str] = {
    np.longdouble: "Convert the column to float64: column.astype('float64').",
    np.timedelta64: "Convert the column to one unit: column.astype('timedelta64[ns]').",
    np.datetime64: "Convert the column to one unit: column.astype('datetime64[ns]').",
    pd.Interval: "Number the intervals: pd.cut(..., labels=False).",
    pd.Period: "Convert the column to timestamps: column.dt.to_timestamp().",
}
"""Advice for types that cannot be keys, although some are a subclass of a family's type."""

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
"""Dtypes in which keys of a family are stored. Numbers have several; all other keys are objects."""

RAW_COLUMN = (
    "Where an operator leaves a partition without rows, Merlin hands on the raw column: filter the "
    "data before the workflow, or leave no partition without rows."
)
"""Advice for messages about values that the encoder cannot have produced."""

TOGETHER = "Convert the column to strings, and leave out a base, whose keys keep their type."
"""Advice for keys that no type holds together."""

EXACT = 2 ** (np.finfo(np.float64).nmant + 1)
"""Limit below which float64 represents every whole number exactly."""


def plain_keys(keys: Any, column: str) -> Tuple[Any, str]:
    """Converts keys to plain values, without categories, extension types and time zones.

    Strings that pandas holds in Arrow stay there.

    Args:
      keys: a series without nulls, and not empty.
      column: name of the column, for messages.

    Returns:
      The keys, and their family, such as "number".

    Raises:
      PopSamplerError: keys belong to several families or to an unknown one; floats are infinite, or
        so large that whole numbers are rounded; or pandas cannot represent a time.
    """
    dtype = keys.dtype
    if hasattr(dtype, "categories"):
        return plain_keys(keys.astype(dtype.categories.dtype), column)
    if is_arrow_string(dtype):
        return keys, "string"
    if isinstance(getattr(dtype, "numpy_dtype", None), np.dtype):
        keys = keys.astype(dtype.numpy_dtype)
    elif not isinstance(dtype, np.dtype) and getattr(dtype, "kind", "O") != "M":
        keys = keys.astype(object) if dispatch.is_cpu_object(keys) else keys
    family = _family(keys, column)
    stored = _STORED.get(family)
    if family == "number" and keys.dtype == object:
        keys = _python_numbers(keys)
    if stored is not None and str(keys.dtype) != stored:
        try:
            # objects of one column may each have a zone of their own
            several = family.endswith("zone") and keys.dtype == object
            keys = (pd.to_datetime(keys, utc=True) if several else keys).astype(stored)
        except ValueError as error:
            raise unusable(
                column, f"{family} keys outside the range of {stored} ({error})"
            ) from None
    return keys, family


def is_arrow_string(dtype: Any) -> bool:
    """Tests whether pandas holds strings of this dtype in Arrow, not as Python objects."""
    if isinstance(dtype, np.dtype):
        return False  # without the tests below, which one row would notice
    found = getattr(dtype, "pyarrow_dtype", pa.null())
    if isinstance(dtype, pd.StringDtype):
        return bool(dtype.storage.startswith("pyarrow"))
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found))


def holds_strings(keys: Any) -> bool:
    """Tests whether keys are Python objects that are all strings, and none is missing."""
    plain = dispatch.is_cpu_object(keys) and keys.dtype == object
    return plain and bool(infer_dtype(keys.values, skipna=False) == "string")


def _family(keys: Any, column: str) -> str:
    """Returns the family of all keys.

    Raises:
      PopSamplerError: see `plain_keys`.
    """
    dtype = keys.dtype
    if getattr(dtype, "kind", "O") in _DTYPES:
        if dtype.kind == "f":
            _family_of_type(dtype.type, column)
            _check_floats(keys, {dtype.type}, column)
        return _DTYPES[dtype.kind] + (" with zone" if hasattr(dtype, "tz") else "")
    if not dispatch.is_cpu_object(keys):
        return "decimal" if str(dtype).startswith("decimal") else "string"
    if holds_strings(keys):
        return "string"
    return _family_of_all(keys, column)


def _family_of_all(keys: Any, column: str) -> str:
    """Returns the family of all keys, which are Python objects."""
    # By the types, since infer_dtype does not distinguish dates from datetimes.
    types = set(map(type, keys.values))
    families = {_family_of_type(found, column) for found in types}
    if families in ({"datetime"}, {"time"}):
        families = {f"{next(iter(families))}{zone}" for zone in _zones(keys)}
    if len(families) > 1:
        raise several_families(column, families)
    if "time with zone" in families:
        raise unusable(column, "times with a zone, but without a date")
    floats = {found for found in types if issubclass(found, (float, np.floating))}
    if floats:
        _check_floats(keys[keys.map(type).isin(floats)], floats, column)
    if families == {"decimal"}:
        for key in keys:
            if not key.is_finite():
                raise _infinite(column, repr(key))
    return families.pop()


def _python_numbers(keys: Any) -> Any:
    """Converts NumPy scalars to Python numbers, whose comparison with large integers is exact."""
    values = [key.item() if isinstance(key, np.generic) else key for key in keys.values]
    return pd.Series(values, keys.index, object, keys.name)


def _zones(keys: Any) -> Set[str]:
    """Returns suffixes of families: " with zone" for keys with a time zone, else ""."""
    zoned = keys.map(operator.attrgetter("tzinfo")).notna()
    return {" with zone" if zone else "" for zone in zoned.unique()}


def _family_of_type(found: type, column: str) -> str:
    for refused, advice in _ADVICE.items():
        if issubclass(found, refused):
            raise unusable(column, f"keys of type {found.__name__}", advice)
    for family, types in _TYPES:
        if issubclass(found, types):
            return family
    raise unusable(column, f"keys of type {found.__name__}")


def _check_floats(keys: Any, types: Set[type], column: str) -> None:
    """Raises an error for infinities, and for floats so large that integers are rounded."""
    narrow: Any = min((np.dtype(found) for found in types), key=lambda dtype: dtype.itemsize)
    bits = np.finfo(narrow).nmant + 1
    largest = keys.abs().max()
    if np.isinf(largest):
        raise _infinite(column, f"an infinite {narrow}")
    if not largest < 2**bits:
        raise inexact(column, f"{narrow} keys up to {float(largest):.17g}", bits)


def several_families(column: str, families: Iterable[str]) -> PopSamplerError:
    """Builds the error for keys of several type families in one column."""
    error: PopSamplerError = PopSamplerError(
        f"Column {column!r}: expected all keys to have one type: values of different types cannot "
        f"be compared or ordered. Received: {' and '.join(sorted(families))}. Convert all of the "
        f"column, in all of its files, to one of them; astype('string') keeps nulls. {RAW_COLUMN}"
    )
    return error


def inexact(column: str, received: str, bits: int = 53) -> PopSamplerError:
    """Builds the error for numbers that are rounded, or would be in other partitions."""
    error: PopSamplerError = PopSamplerError(
        f"Column {column!r}: expected floating-point keys (and integer columns with nulls, which "
        f"are read as floats) to be below 2**{bits}, so that they are exact. Received: {received}. "
        "Store the column as strings, or as integers without nulls, where its values are still "
        "exact."
    )
    return error


def _infinite(column: str, received: str) -> PopSamplerError:
    """Builds the error for infinities, which may stand for any number too large for its dtype."""
    error: PopSamplerError = PopSamplerError(
        f"Column {column!r}: expected finite keys. Received: {received}, which does not stand for "
        "one number. Replace it, also inside lists, by a key of your own, or by a null: "
        "column.replace([np.inf, -np.inf], np.nan)."
    )
    return error


def unusable(
    column: str,
    received: str,
    advice: str = "Convert the column to strings: column.astype('string').",
) -> PopSamplerError:
    """Builds the error for keys of an unknown type, or that Arrow cannot represent."""
    error: PopSamplerError = PopSamplerError(
        f"Column {column!r}: expected numbers, strings, bytes, bools, decimals, dates or times as "
        f"keys, or lists of these. Received: {received}. {advice}"
    )
    return error


_WIDTH = ("bool", "int64", "uint64", "float64")
"""Dtypes in the order in which they are tried, until one holds all keys."""

_WITH_NULLS = {"bool": "float64", "int64": "float64", "uint64": "float64"}
"""For each dtype that cannot hold nulls, the dtype that replaces it next to nulls."""


@dataclass(frozen=True)
class KeyType:
    """Describes the type of a column's keys.

    Keys of different families are never the same key. Keys of one family are the same key if their
    values are equal: 2 and 2.0, or one instant in two time zones.

    Args:
      family: "number", "string", "bool", "bytes", "date", "datetime", "datetime with zone", ...
      dtype: for numbers, the first of `int64`, `uint64` and `float64` that holds all keys exactly.
        Every other family has only one dtype.
    """

    family: str
    dtype: str

    @property
    def holds_nulls(self) -> bool:
        """Whether a null can stand next to keys of this dtype."""
        return self.dtype not in _WITH_NULLS

    def with_nulls(self) -> "KeyType":
        """Returns the type that holds these keys and nulls."""
        return replace(self, dtype=_WITH_NULLS.get(self.dtype, self.dtype))


def canonical(keys: Any, column: str) -> Tuple[Any, Optional[KeyType]]:
    """Converts keys to plain values in the narrowest dtype, the canonical form.

    Readers return a column of integers with nulls as floats or as integers. The canonical form is
    the same for both.

    Args:
      keys: a series without nulls, of any dtype.
      column: name of the column, for messages.

    Returns:
      The keys, and their type, which is None if there are no keys.

    Raises:
      PopSamplerError: see `plain_keys`; or no dtype holds all integers.
    """
    if not len(keys):
        return keys, None
    plain, family = plain_keys(keys, column)
    if family == "number":
        plain = _narrowest(plain, column)
    return plain, KeyType(family, _name_of(plain.dtype))


def merged(kinds: Iterable[Optional[KeyType]], column: str) -> Optional[KeyType]:
    """Returns the type that holds the keys of all these types; None if there are no keys.

    Raises:
      PopSamplerError: the types belong to different families.
    """
    found = [kind for kind in kinds if kind is not None]
    families = {kind.family for kind in found}
    if len(families) > 1:
        raise several_families(column, families)
    return reduce(_wider, found) if found else None


def cast(keys: Any, kind: Optional[KeyType], column: str) -> Tuple[Any, Any]:
    """Casts keys to the type of a vocabulary, and returns which keys it holds exactly.

    Args:
      keys: a series without nulls, of any dtype.
      kind: type of the vocabulary's keys; None accepts any type, since the vocabulary has no keys.
      column: name of the column, for messages.

    Returns:
      The keys in that dtype, and a bool series that is False for keys that cannot be in the
      vocabulary (2.5 among integers). It is None if all keys can be.

    Raises:
      PopSamplerError: see `canonical`; or the keys belong to another family.
    """
    plain, family = plain_keys(keys, column)
    if kind is None:
        kind = KeyType(family, "int64" if family == "number" else _name_of(plain.dtype))
    if (family, kind.family) == ("bytes", "string"):  # a server passes strings as UTF-8 bytes
        # Invalid bytes become a string that no vocabulary contains. Strings of pandas 3 cannot hold
        # it, objects can.
        decoded = [key.decode(errors="surrogateescape") for key in plain]
        plain, family = pd.Series(decoded, plain.index, object, plain.name), "string"
    if family != kind.family:
        raise PopSamplerError(
            f"Column {column!r}: expected keys of the vocabulary's type, {kind.family}. "
            f"Received: {family}, such as {truncate_repr(keys.iloc[0])}. "
            "Transform the type of data that the workflow was fitted on."
        )
    return _exactly(plain, kind.dtype)


def widened(keys: Any, kind: KeyType, column: str) -> Any:
    """Casts canonical keys to a wider type, the result of `merged`.

    Args:
      keys: a series without nulls.
      kind: the wider type.
      column: name of the column, for messages.

    Raises:
      PopSamplerError: the dtype of the type does not hold a key exactly.
    """
    values, exact = _exactly(keys, kind.dtype)
    if exact is not None and not bool(exact.all()):
        received = f"a key {keys[~exact].iloc[0]}, which {kind.dtype} cannot represent"
        raise unusable(column, received, TOGETHER)
    return values


def _narrowest(keys: Any, column: str) -> Any:
    for dtype in ("int64", "uint64", "float64"):
        values, exact = _exactly(keys, dtype)
        if exact is None or bool(exact.all()):
            return values
    raise unusable(column, f"integers that no dtype holds together, up to {keys.abs().max()}")


def _exactly(keys: Any, dtype: str) -> Tuple[Any, Any]:
    """Casts keys to a dtype, and returns which keep their value, as a mask; None if all do."""
    if _name_of(keys.dtype) == dtype:
        return keys, None
    held = keys
    if keys.dtype.kind in "fO":  # Python's integers know no bounds
        bounds = np.iinfo("uint64" if dtype == "uint64" else "int64")
        held = keys.where((keys >= bounds.min) & (keys <= bounds.max), 0)
    values = held.astype(dtype)
    # The cast between int64 and uint64 is reversible, so the signs must be compared as well.
    return values, (values.astype(keys.dtype) == keys) & ((values < 0) == (keys < 0))


@lru_cache(maxsize=256)
def _name_of(dtype: Any) -> str:
    """Names the dtype of plain keys; strings in Arrow count as objects, since keys are the same."""
    return "object" if is_arrow_string(dtype) else str(dtype)


def _wider(left: KeyType, right: KeyType) -> KeyType:
    if left.dtype == right.dtype:
        return left
    return max(left, right, key=lambda kind: _WIDTH.index(kind.dtype))
