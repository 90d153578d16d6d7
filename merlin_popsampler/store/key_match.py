"""Finds the keys of one fit among those of another, by value across Arrow's types."""

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Tuple

import numpy as np

from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import PopSamplerError

if TYPE_CHECKING:
    import pyarrow as pa

_FAMILIES = (
    ("bool", "is_boolean"),
    ("number", "is_integer"),
    ("number", "is_floating"),
    ("decimal", "is_decimal"),
    ("string", "is_string"),
    ("string", "is_large_string"),
    ("bytes", "is_binary"),
    ("bytes", "is_large_binary"),
    ("date", "is_date"),
    ("time", "is_time"),
    ("timedelta", "is_duration"),
    ("datetime", "is_timestamp"),
)
"""Families of keys, and the function of `pyarrow.types` that tests for each."""

_TABLE_BITS = 17
"""Base-2 logarithm of the number of keys in one hash table, which then fits the CPU's caches."""
_AT_ONCE = 1 << 16
_ODD = 0x9E3779B97F4A7C15


def positions(asked: "pa.Table", known: "pa.Table", column: str) -> Ints:
    """Finds the position of each row of keys in a table of distinct rows, int64; -1 if absent.

    Columns are matched by position, not by name. A null equals a null.

    Args:
      asked: the keys to look up. If columns were combined to one key, a column for each.
      known: the distinct keys in which they are looked up.
      column: name of the keys, for messages.

    Raises:
      PopSamplerError: the tables differ in the number of columns or in the type of keys.
    """
    if asked.num_columns != known.num_columns:
        raise PopSamplerError(
            f"Column {column!r}: expected two fits with the same number of key columns. Received: "
            f"{asked.column_names} and {known.column_names}. Compare two fits of the same columns."
        )
    found, wanted = (np.zeros(len(table), np.int64) for table in (asked, known))
    for ours, theirs in zip(asked.columns, known.columns):
        one, other = _in_one_type(ours, theirs, column)
        if known.num_columns == 1:
            return _index_in(one, other)
        distinct = other.unique()
        found = _pairs(found, _index_in(one, distinct), len(distinct))
        wanted = _pairs(wanted, _index_in(other, distinct), len(distinct))
        numbers = np.unique(wanted)  # small ones, so that the next pairs do not overflow
        found, wanted = _index_in(found, numbers), _index_in(wanted, numbers)
    return _index_in(found, wanted)


def _pairs(first: Ints, second: Ints, size: int) -> Ints:
    """Combines pairs of numbers to one number each; -1 if one of the two is -1.

    Args:
      first: int64 `[n]`.
      second: int64 `[n]`, below `size`.
      size: exclusive limit of the second number.
    """
    return np.where((first < 0) | (second < 0), -1, first * max(size, 1) + second)


def _index_in(asked: Any, known: Any) -> Ints:
    """Finds the position of each key among distinct keys of its type, int64; -1 if absent."""
    import pyarrow as pa
    import pyarrow.compute as pc

    asked, known = (pa.array(x) if isinstance(x, np.ndarray) else x for x in (asked, known))
    if all(pa.types.is_integer(x.type) and not x.null_count for x in (asked, known)):
        return _numbers_in(asked.to_numpy(), known.to_numpy())
    index = pc.index_in(asked, value_set=known).fill_null(-1)
    found: Ints = index.to_numpy().astype(np.int64)
    return found


def _numbers_in(asked: Any, known: Any) -> Ints:
    """Computes `_index_in` for integers, with several hash tables that fit the CPU's caches."""
    import pandas as pd

    bits = min(max(1, len(known).bit_length() - _TABLE_BITS), 8)
    found = np.full(len(asked), -1)
    for mine, table in zip(_in_groups(asked, bits), _in_groups(known, bits)):
        index = pd.Index(known[table]).get_indexer(asked[mine])
        there = index >= 0
        found[mine[there]] = table[index[there]]
    return found


def _in_groups(keys: Any, bits: int) -> List[Ints]:
    """Divides keys by a hash into `2**bits` groups, and returns the positions of each group."""
    groups = np.empty(len(keys), np.uint8)
    for start in range(0, len(keys), _AT_ONCE):
        scattered = keys[start : start + _AT_ONCE].astype(np.uint64) * np.uint64(_ODD)
        groups[start : start + _AT_ONCE] = scattered >> np.uint64(64 - bits)
    order = np.argsort(groups, kind="stable")
    later = np.arange(1, 1 << bits).astype(np.uint8)
    return np.split(order, np.searchsorted(groups, later, sorter=order))


def _in_one_type(one: Any, other: Any, column: str) -> Tuple[Any, Any]:
    """Converts two columns to a type that holds the keys of both exactly.

    Raises:
      PopSamplerError: the keys are of different families.
    """
    import pyarrow as pa

    one, other = (
        part.cast(part.type.value_type) if pa.types.is_dictionary(part.type) else part
        for part in (one, other)
    )
    types = [part.type for part in (one, other)]
    families = {_family(found) for found in types} - {"null"}
    if len(families) > 1:
        raise PopSamplerError(
            f"Column {column!r}: expected keys of one type in both fits. Received: "
            f"{' and '.join(sorted(families))}. Compare two fits of the same column."
        )
    try:
        common = _common_type(types, families.pop() if families else "null")
        one, other = (part if part.type == common else part.cast(common) for part in (one, other))
    except ValueError:  # such as floats and integers that no float64 represents
        return _numbered(one, other)
    if pa.types.is_temporal(common):  # compared as integers, so that hash tables can be used
        whole = pa.int32() if common.bit_width == 32 else pa.int64()
        one, other = one.cast(whole), other.cast(whole)
    return one, other


def _numbered(one: Any, other: Any) -> Tuple[Any, Any]:
    """Replaces keys by numbers, the same for equal keys; Python compares all types exactly."""
    import pyarrow as pa

    numbers: Dict[Any, int] = {}
    one, other = (
        pa.array([numbers.setdefault(key, len(numbers)) for key in part.to_pylist()], pa.int64())
        for part in (one, other)
    )
    return one, other


def _family(found: "pa.DataType") -> str:
    import pyarrow as pa

    if pa.types.is_null(found):
        return "null"
    for family, name in _FAMILIES:
        tells: Callable[[Any], bool] = getattr(pa.types, name)
        if tells(found):
            return f"{family} with zone" if getattr(found, "tz", None) else family
    return str(found)


def _common_type(types: Any, family: str) -> Any:
    import pyarrow as pa

    known = [found for found in types if not pa.types.is_null(found)]
    if len(set(known)) < 2:
        return known[0] if known else pa.null()
    if family == "number":
        if any(pa.types.is_floating(found) for found in known):
            return pa.float64()  # keys that are floats are below 2**53, and larger integers differ
        return pa.decimal128(20, 0) if pa.uint64() in known else pa.int64()
    if family == "decimal":
        scale = max(found.scale for found in known)
        digits = scale + max(found.precision - found.scale for found in known)
        return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)
    plain = {
        "string": pa.large_string(),
        "bytes": pa.large_binary(),
        "date": pa.date32(),
        "time": pa.time64("us"),
        "timedelta": pa.duration("ns"),
        "datetime": pa.timestamp("ns"),
        "datetime with zone": pa.timestamp("ns", "UTC"),
    }
    return plain.get(family, known[0])
