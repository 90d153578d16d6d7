"""Extracts keys from categorical columns: one for each row, list element or combination."""

import itertools
import operator
from dataclasses import dataclass, replace
from decimal import InvalidOperation
from functools import reduce
from typing import Any, Callable, FrozenSet, List, Optional, Sequence, Set, Tuple

import numpy as np
import pandas as pd
import pyarrow as pa
from merlin.core import dispatch

from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import PopSamplerError

from .kinds import holds_strings, inexact, unusable

_FEW = 1000
"""Number of rows below which a search for shared objects takes longer than it saves."""
_SAMPLE = 10_000
"""Number of rows in the sample that shows whether rows share objects."""
_PLACES = 12
"""Binary logarithm of the number of places in a block of memory, at which objects may begin."""
_SLOTS = 16
"""Binary logarithm of the number of slots in the table of blocks, which spans 4 GB or more."""
_GAPS = 8
"""Largest number of places for each row; counts of their rows take 8 bytes each."""


@dataclass(frozen=True)
class KeyGroup:
    """Names the columns that share one vocabulary.

    Args:
      name: the vocabulary's name in Categorify's files (its "storage name").
      columns: columns of the data frame.
      joint: whether all columns share their keys (`encode_type="joint"`). Otherwise several columns
        are combined: the keys of a row form one key.
      lists: columns of lists according to the schema.
    """

    name: str
    columns: Tuple[str, ...]
    joint: bool
    lists: FrozenSet[str] = frozenset()

    @property
    def keys(self) -> List[str]:
        """Names of the vocabulary's key columns."""
        if self.joint or len(self.columns) == 1:
            return [self.name]
        return list(self.columns)


@dataclass(frozen=True)
class ColumnSummary:
    """Summarizes the rows of one column, in all of the data or in a part.

    Args:
      nulls: number of rows, or list elements, without a key. If columns are combined, the first
        column has the number of all of them.
      is_list: whether the rows are lists; None if all rows are null.
      floating: whether there are nulls in a dtype that converts integers next to nulls to floats.
      large: whether there are integers that a float64 does not represent exactly.
      dtypes: dtypes of the keys in the parts that have keys.
    """

    nulls: int
    is_list: Optional[bool]
    floating: bool
    large: bool
    dtypes: FrozenSet[str]

    def as_lists(self) -> "ColumnSummary":
        """Returns the summary of a column of lists in which each row is null."""
        return replace(self, nulls=0, is_list=True)


def merged_rows(parts: Sequence[ColumnSummary], column: str) -> ColumnSummary:
    """Merges the summaries of all parts, in the order of the data.

    A null row is a null key in a column of single keys, and an empty list in a column of lists. A
    part that contains only nulls does not show which of the two the column is.

    Args:
      parts: summaries of the same column.
      column: name of the column, for messages.

    Raises:
      PopSamplerError: some parts hold lists and some hold single keys; or integers would be rounded
        if they were in the same part as the nulls.
    """
    kinds = {part.is_list for part in parts} - {None}
    if len(kinds) > 1:
        raise _lists_and_keys(column)
    lists = kinds.pop() if kinds else None
    dtypes = frozenset(dtype for part in parts for dtype in part.dtypes)
    parts = [part for part in parts if part.is_list or not lists]
    floating, large = any(part.floating for part in parts), any(part.large for part in parts)
    if floating and large:
        raise inexact(column, "larger integers next to nulls")
    return ColumnSummary(sum(part.nulls for part in parts), lists, floating, large, dtypes)


def is_list(series: Any, of_column: Optional[bool] = None) -> Optional[bool]:
    """Tests whether the rows of a column are lists.

    Args:
      series: the column, or a part of it.
      of_column: whether the whole column holds lists; None if that is not known.

    Returns:
      A bool; None if all rows are null and `of_column` is None. Lists of one key each are accepted
      in a column of single keys, since a server sends single keys in this form.

    Raises:
      PopSamplerError: the rows contradict `of_column`.
    """
    if of_column is False and not _may_hold_lists(series):
        return False  # without the tests below, which take longer than encoding a single row
    lists_here = _shown_lists(series)
    if lists_here is None or of_column is None:
        return of_column if lists_here is None else lists_here
    if lists_here != of_column and not (lists_here and _hold_one_each(series)):
        here, there = ("lists", "single keys") if lists_here else ("single keys", "lists")
        raise _lists_and_keys(series.name, f"{here}, where the fit or other rows have {there}")
    return lists_here


def plain_columns(df: Any, columns: Sequence[str]) -> List[Any]:
    """Returns columns; sparse ones become dense, and Arrow's lists become Python objects.

    Raises:
      PopSamplerError: the frame has no column of a name, or several.
    """
    return [_plain(_column(df, column)) for column in columns]


def key_columns(columns: Sequence[Any], lists: bool) -> List[Any]:
    """Returns the keys of columns as series of one index, one key for each row or list element.

    Args:
      columns: a series for one column, or for each of several that are combined.
      lists: whether a column holds lists.

    Raises:
      PopSamplerError: columns of lists cannot be combined, or a column mixes lists and single keys.
    """
    if lists and len(columns) > 1:
        raise PopSamplerError(
            f"Columns {[column.name for column in columns]}: expected single keys in columns that "
            "are combined. Received: lists. Explode the lists, or encode each column by itself."
        )
    return [elements(column, lists) for column in columns]


def elements(series: Any, lists: bool) -> Any:
    """Returns one value for each row, or for each list element, with a new index.

    A null list has no elements.

    Args:
      series: a column or a part of it.
      lists: whether the column holds lists.

    Raises:
      PopSamplerError: the column mixes lists and single keys.
    """
    if not lists:
        return series
    rows = series.dropna()
    if not dispatch.is_cpu_object(series):
        return rows.list.leaves
    rows = rows.tolist()
    forms: Set[Any] = {
        (row.dtype, row.ndim) if type(row) is np.ndarray else type(row) for row in rows
    }
    arrays = forms - {list}
    if not all(isinstance(form, tuple) and form[1] for form in arrays):
        raise _lists_and_keys(series.name)
    whole = [dtype.kind in "biufOMm" and ndim == 1 for dtype, ndim in arrays]
    if len(forms) == 1 and whole == [True]:
        return _column_of(np.concatenate(rows), series.name)
    # Lists of several dtypes become objects, since one dtype for all could change values.
    return pd.Series(list(itertools.chain.from_iterable(rows)), dtype=object)


def distinct_objects(
    keys: List[Any],
) -> Tuple[List[Any], Optional[Ints], Callable[[Any], Any]]:
    """Deduplicates a column of Python objects by identity.

    Readers usually share one object among equal strings. Then this takes a fifth of the time of
    `pd.factorize` or Arrow, which compare values. Equal keys may still be several objects.

    Args:
      keys: a series for each key column.

    Returns:
      The distinct objects in the order of their rows, the number of rows of each, and a function
      that repeats an array of values of the objects for all rows. If columns are combined, there
      are few rows, the dtype is not object, or rows share few objects: the keys unchanged, None,
      and a function that returns its argument.
    """
    column = keys[0]
    objects = dispatch.is_cpu_object(column) and column.dtype == object
    if len(keys) > 1 or len(column) < _FEW or not objects:
        return keys, None, _unchanged
    values = np.ascontiguousarray(column.to_numpy())
    addresses: Ints = np.ndarray(len(values), np.intp, values)
    if not _are_shared(addresses):
        return keys, None, _unchanged
    numbers = _numbered(addresses)
    counts = np.bincount(numbers)
    # Numbers without an object keep row 0, which is the first of its object.
    first = np.zeros(len(counts), np.min_scalar_type(len(values)))
    first[numbers[::-1]] = np.arange(len(values), dtype=first.dtype)[::-1]
    new = np.zeros(len(values), bool)
    new[first] = True
    rows = np.flatnonzero(new)
    own = numbers[rows]

    def repeated(found: Any) -> Any:
        by_number = np.empty(own.max() + 1, found.dtype)
        by_number[own] = found
        return by_number[numbers]

    return [pd.Series(values[rows], dtype=object, name=column.name)], counts[own], repeated


def _unchanged(found: Any) -> Any:
    return found


def _numbered(addresses: Ints) -> Ints:
    """Numbers the addresses of objects, with gaps.

    Most objects of a column lie in a few blocks of memory. A table moves these blocks next to each
    other, in a third of the time that a hash table of the addresses takes.
    """
    # Objects of one size mostly begin at multiples of it. No object lies below 4096, so no number
    # is 0.
    differ = int(np.bitwise_or.reduce(addresses) ^ np.bitwise_and.reduce(addresses)) | 4096
    numbers = addresses >> ((differ & -differ).bit_length() - 1)
    slots = numbers >> _PLACES
    slots &= 2**_SLOTS - 1
    table = np.zeros(2**_SLOTS, np.intp)
    table[slots] = numbers
    used = np.flatnonzero(table)
    begins = table[used] & -(2**_PLACES)
    size = len(used) << _PLACES
    table[used] = np.arange(0, size, 2**_PLACES) - begins
    numbers += table.take(slots, out=slots, mode="clip")  # in place: memory costs more than adding
    # Two blocks with one slot are so far apart that one of them is moved beyond these numbers.
    if size > _GAPS * len(numbers) or numbers.min() < 0 or numbers.max() >= size:
        numbers, _ = pd.factorize(addresses)
    return numbers


def missing(keys: Any, column: str) -> Any:
    """Tests which keys are missing, bool `[rows]`, as an array of NumPy or CuPy.

    Raises:
      PopSamplerError: a key is a signalling NaN, for which pandas 2 raises an error.
    """
    if not can_be_null(keys):  # a quarter of the time of the test below
        return np.zeros(len(keys), bool)
    try:
        return pd.isna(keys.values) if dispatch.is_cpu_object(keys) else keys.isna().values
    except InvalidOperation:
        raise unusable(column, "Decimal('sNaN')") from None


def can_be_null(keys: Any) -> bool:
    """Tests whether keys may be missing, by their dtype or, if they are objects, by their types."""
    dtype = keys.dtype
    if not (dispatch.is_cpu_object(keys) and isinstance(dtype, np.dtype)):
        return True
    return dtype.kind not in "biu" and not holds_strings(keys)


def all_null(missing: Sequence[Any]) -> Any:
    """Tests whether all keys of a row are missing, given a bool array for each key column."""
    return reduce(operator.and_, missing)


def filled(keys: Any, null: Any) -> Any:
    """Replaces nulls (rows where `null` is True) by the first key, which must exist."""
    keys = keys.copy()
    # Not with fillna or where, in which pandas infers another dtype for objects.
    keys[null] = keys[~null].iloc[0]
    return keys


def without(keys: Any, null: Any) -> Any:
    """Replaces keys by nulls in the rows where `null` is True."""
    keys = keys.copy()
    keys[null] = None
    return keys


def as_lists(original: Any, ids: Any, dtype: Any) -> Any:
    """Groups the ids of list elements into lists of the original lengths; null lists become empty.

    Args:
      original: the column of lists of keys.
      ids: the ids of all list elements, one after the other.
      dtype: integer dtype of the ids.
    """
    null = original.isna()
    if hasattr(original, "list"):
        return dispatch.encode_list_column(original, ids, dtype=dtype)
    if bool(null.any()):
        rows = [[] if missing else row for row, missing in zip(original, null)]
        original = type(original)(rows, original.index, object)
    encoded = dispatch.encode_list_column(original, ids, dtype=dtype)
    encoded.index = original.index
    return encoded


def _column(df: Any, name: str) -> Any:
    found = df[name] if name in df.columns else None
    if found is None or found.ndim > 1:
        received = "none" if found is None else f"{found.shape[1]} of them"
        raise PopSamplerError(
            f"Column {name!r}: expected one column of this name. Received: {received}. "
            "Pass a frame in which each column has a name of its own."
        )
    return found


def _plain(column: Any) -> Any:
    dtype = column.dtype
    if isinstance(dtype, np.dtype):
        return column
    in_arrow = getattr(dtype, "pyarrow_dtype", pa.null())
    if isinstance(dtype, pd.SparseDtype):
        return column.sparse.to_dense()
    if pa.types.is_nested(in_arrow) or pa.types.is_fixed_size_list(in_arrow):
        return pd.Series(column.tolist(), column.index, object, column.name)
    return column


def _are_shared(addresses: Ints) -> bool:
    """Tests on a sample whether rows share objects.

    Readers of files share them, whereas functions of the user mostly create one for each row.
    """
    sample = addresses[:: max(1, len(addresses) // _SAMPLE)]
    return len(np.unique(sample)) < 0.9 * len(sample)


def _column_of(values: Any, column: Any) -> pd.Series:
    """Builds a series of NumPy values, with times in nanoseconds.

    pandas itself would round times of some units, and raise an error for times of other units.

    Raises:
      PopSamplerError: a time cannot be represented in nanoseconds.
    """
    if values.dtype.kind in "Mm":
        dtype = np.dtype(f"{values.dtype.kind}8[ns]")
        try:
            times = values.astype(dtype)
            exact = np.array_equal(times.astype(values.dtype), values, equal_nan=True)
        except OverflowError:  # NumPy before 2.5 returns other times
            exact = False
        if not exact:
            raise unusable(column, f"{values.dtype} keys that {dtype} cannot represent")
        values = times
    # Objects stay objects: pandas 3 would convert strings to another dtype.
    return pd.Series(values, dtype=object if values.dtype == object else None)


def _lists_and_keys(column: Any, received: str = "lists and single keys") -> PopSamplerError:
    error: PopSamplerError = PopSamplerError(
        f"Column {column!r}: expected lists in all of its rows, or in none. Received: {received}. "
        "Make lists of the single keys, or explode the lists."
    )
    return error


def _hold_one_each(series: Any) -> bool:
    """Tests whether each row is a list of one, as Merlin converts a server's array `[rows, 1]`."""
    if hasattr(series, "list"):
        return bool((series.list.len() == 1).all())
    rows = series.values
    return set(map(type, rows)) <= {list, np.ndarray} and all(len(row) == 1 for row in rows)


def _may_hold_lists(column: Any) -> bool:
    """Tests whether the dtype and the first row leave it open that rows are lists."""
    if not dispatch.is_cpu_object(column):
        return bool(column.dtype == object) or hasattr(column, "list")
    if column.dtype != object:
        return False
    return not isinstance(next(iter(column.values), None), (str, bytes))


def _shown_lists(series: Any) -> Optional[bool]:
    """Tests whether the first row that is not null is a list; on a GPU, the dtype shows it."""
    if hasattr(series, "list"):
        return True
    first = series.iloc[:1]
    if not len(first) or bool(missing(first, series.name).all()):
        first = series[~missing(series, series.name)].iloc[:1]
    if not len(first):
        return None
    return first.dtype == object and isinstance(first.iloc[0], (list, np.ndarray))
