"""Counts keys in one pass over a partitioned data frame, summed on the host as a tree."""

import re
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import dask
import numpy as np
import pandas as pd
import pyarrow as pa
from dask.dataframe import utils
from merlin.core import dispatch

from merlin_popsampler.core.checks import truncate_repr
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import PopSamplerError

from .keys.arrays import counting_buckets, in_one_type, to_arrow, totals
from .keys.columns import (
    ColumnSummary,
    KeyGroup,
    all_null,
    distinct_objects,
    filled,
    is_list,
    key_columns,
    merged_rows,
    missing,
    plain_columns,
    without,
)
from .keys.kinds import EXACT, KeyType, canonical, merged, widened
from .keys.strings import one_chunk

_STRING = r"""b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*\""""
_OTHER = r"[-+]?\.?\d[-+.\de]*|nan|None|True|False|\.\.\.|[\w.]+\([^()]*\)"
_PART = f"(?:{_STRING}|{_OTHER})"
_LIST = re.compile(rf"\[\s*(?:{_PART}(?:[,\s]+{_PART})*)?\s*\]")
"""Text of a list or array, such as "['tea', 'rice']" or "[1 2]", but not "[REC]"."""


@dataclass(frozen=True)
class Counts:
    """Holds how often each key of a group occurs, in all of the data or in a part.

    Args:
      keys: an Arrow array or chunked array for each key column, in the form of
        `keys.kinds.canonical`. Each key, or combination of keys, occurs once, in no particular
        order.
      sizes: int64 `[keys]`, occurrences of each key.
      kinds: type of each key column; None for a column without keys.
      rows: summary of the rows of each column. If a part is split into buckets, only its first
        bucket has the summaries.
    """

    keys: Sequence[Any]
    sizes: Ints
    kinds: Tuple[Optional[KeyType], ...]
    rows: Mapping[str, ColumnSummary]

    def __len__(self) -> int:
        """Returns the number of keys."""
        return len(self.sizes)

    def take(self, indices: Ints) -> "Counts":
        """Returns a copy of the counts at these positions."""
        keys = [part.take(pa.array(indices)) for part in self.keys]
        return Counts(keys, self.sizes[indices], self.kinds, self.rows)

    @property
    def nulls(self) -> int:
        """Number of rows, or list elements, without a key."""
        return sum(rows.nulls for rows in self.rows.values())


def count_keys(
    ddf: Any,
    groups: Sequence[KeyGroup],
    split_every: Mapping[str, int],
    split_out: Mapping[str, int],
) -> Dict[str, List[Any]]:
    """Builds the delayed counting of the keys of several groups in one pass over the data.

    Partitions are counted on their device, also on a GPU. The results are moved to the host, so
    that one implementation merges counts and keys.

    Args:
      ddf: dask data frame of pandas or cuDF partitions.
      groups: the groups of columns to count.
      split_every: by name of the group, how many partial counts one task adds up.
      split_out: by name of the group, into how many buckets its keys are hashed. A task adds up the
        counts of one bucket only.

    Returns:
      Delayed `Counts` of each bucket, by name of the group.
    """
    # Without optimization, which renames tasks: operators that are fitted together would then each
    # read the data.
    counted = [
        dask.delayed(_count_partition)(part, groups, split_out)
        for part in ddf.to_delayed(optimize_graph=False)
    ]
    return {
        group.name: [
            _sum_of([part[group.name][bucket] for part in counted], group, split_every[group.name])
            for bucket in range(split_out[group.name])
        ]
        for group in groups
    }


def add(parts: Sequence[Counts], group: KeyGroup) -> Counts:
    """Adds up the counts of all parts.

    Args:
      parts: counts of parts of the data.
      group: the group of columns that was counted.

    Raises:
      PopSamplerError: the keys have different types, or no dtype holds all of them exactly.
    """
    kinds = merged_kinds(parts, group.keys)
    if len(parts) > 1:
        columns = list(_in_one_type(parts, kinds, group.keys))
        keys, sizes = totals(columns, [part.sizes for part in parts])
    else:
        keys, sizes = joined(parts, kinds, group.keys)
    return Counts(keys, sizes, kinds, all_rows(parts, group))


def joined(
    parts: Sequence[Counts], kinds: Sequence[Optional[KeyType]], columns: Sequence[str]
) -> Tuple[List[pa.Array], Ints]:
    """Concatenates the keys of all parts, and their sizes.

    Args:
      parts: counts of parts of the data.
      kinds: the type that holds the keys of all parts, for each key column; see `merged_kinds`.
      columns: names of the key columns, for messages.
    """
    keys = [one_chunk(*arrays) for arrays in _in_one_type(parts, kinds, columns)]
    return keys, np.concatenate([part.sizes for part in parts])


def _in_one_type(
    parts: Sequence[Counts], kinds: Sequence[Optional[KeyType]], columns: Sequence[str]
) -> Iterator[List[Any]]:
    """Yields the keys of all parts in the type of each key column, see `joined`."""
    for number, (kind, column) in enumerate(zip(kinds, columns)):
        own = [part.kinds[number] for part in parts]
        yield in_one_type([part.keys[number] for part in parts], own, kind, column)


def merged_kinds(parts: Sequence[Counts], columns: Sequence[str]) -> Tuple[Optional[KeyType], ...]:
    """Returns the type that holds the keys of all parts, for each key column."""
    return tuple(_merged_kind(parts, number, column) for number, column in enumerate(columns))


def all_rows(parts: Sequence[Counts], group: KeyGroup) -> Dict[str, ColumnSummary]:
    """Merges the summaries of all parts, in the order of the data, for each column."""
    told = [
        (column, [part.rows[column] for part in parts if column in part.rows])
        for column in group.columns
    ]
    return {column: merged_rows(rows, column) for column, rows in told if rows}


def _sum_of(parts: List[Any], group: KeyGroup, split_every: int) -> Any:
    """Builds the delayed sum of delayed counts, as a tree in which a task adds `split_every`."""
    width = max(2, split_every)
    while len(parts) > 1:
        pieces = [parts[start : start + width] for start in range(0, len(parts), width)]
        parts = [dask.delayed(add)(piece, group) for piece in pieces]
    return parts[0]


def _count_partition(
    df: Any, groups: Sequence[KeyGroup], split_out: Mapping[str, int]
) -> Dict[str, List[Counts]]:
    for name in sorted({name for group in groups for name in group.columns}):
        _check_not_converted(name, df[name])
    return {group.name: _in_buckets(_count(df, group), split_out[group.name]) for group in groups}


def _check_not_converted(name: str, values: Any) -> None:
    """Raises an error if dask has converted the lists of a column to strings."""
    converts = getattr(utils, "pyarrow_strings_enabled", bool)  # dask 2022 does not have it
    if not isinstance(values.dtype, pd.StringDtype) or not converts():
        return
    first = next(iter(values.dropna().head(1)), "")
    if _LIST.fullmatch(first):
        raise PopSamplerError(
            f"Column {name!r}: expected lists, or a dask that does not convert them to strings. "
            f"Received: the string {truncate_repr(first)}, and a dask that does. Call "
            "merlin_popsampler.compat.enable() before the first import of dask's data frames."
        )


def _in_buckets(counts: Counts, number: int) -> List[Counts]:
    """Splits counts by the hash bucket of their keys."""
    if number == 1:
        return [counts]
    buckets = counting_buckets(counts.keys, number)
    order = np.argsort(buckets, kind="stable")
    bounds = np.searchsorted(buckets[order], np.arange(number + 1))
    parts = [counts.take(order[start:stop]) for start, stop in zip(bounds, bounds[1:])]
    return parts[:1] + [Counts(part.keys, part.sizes, part.kinds, {}) for part in parts[1:]]


def _count(df: Any, group: KeyGroup) -> Counts:
    """Counts one partition, column by column if columns are pooled."""
    alone = group.joint or len(group.columns) == 1
    together = [(column,) for column in group.columns] if alone else [group.columns]
    counted = [_count_rows(df, columns, group) for columns in together]
    return add(counted, group)


def _count_rows(df: Any, columns: Tuple[str, ...], group: KeyGroup) -> Counts:
    """Counts one column or combination.

    Nulls are removed first, since they turn integers into floats.
    """
    plain_rows = plain_columns(df, columns)
    lists = [is_list(column) for column in plain_rows]
    keys = key_columns(plain_rows, any(lists))
    keys, sizes = distinct_objects(keys)[:2]
    absent = [missing(part, column) for part, column in zip(keys, columns)]
    floating = [bool(of.any()) and not _masked(part) for part, of in zip(keys, absent)]
    dtypes = [frozenset([str(part.dtype)] if len(part) else ()) for part in keys]
    null = all_null(absent)
    nulls = int(null.sum() if sizes is None else sizes[null].sum())
    if nulls:
        keys = [part[~null] for part in keys]
        sizes = None if sizes is None else sizes[~null]
    convert = canonical if len(columns) == 1 else canonical_part
    plain, kinds = zip(*(convert(part, key) for part, key in zip(keys, group.keys)))
    large = [kind is not None and _large(part) for part, kind in zip(plain, kinds)]
    found = zip(columns, [nulls] + [0] * len(columns), lists, floating, large, dtypes)
    rows = {column: ColumnSummary(*seen) for column, *seen in found}
    return Counts(*_distinct(plain, sizes, kinds, group.keys), kinds, rows)


def canonical_part(keys: Any, column: str) -> Tuple[Any, Optional[KeyType]]:
    """Converts one of several combined columns to canonical keys and their type; nulls stay."""
    null = keys.isna()
    if bool(null.all()):
        return keys.astype(object), None
    values, kind = canonical(filled(keys, null), column)
    if kind is None or not bool(null.any()):
        return values, kind
    kind = kind.with_nulls()
    return without(widened(values, kind, column), null), kind


def _masked(keys: Any) -> bool:
    """Tests whether integers of this dtype stay integers next to nulls, by a mask of the nulls."""
    return not (dispatch.is_cpu_object(keys) and isinstance(keys.dtype, np.dtype))


def _large(keys: pd.Series) -> bool:
    whole = keys.dtype.kind in "iu" and len(keys) > 0
    return whole and bool(max(int(keys.max()), -int(keys.min())) >= EXACT)


def _distinct(
    keys: Sequence[Any],
    sizes: Optional[Ints],
    kinds: Sequence[Optional[KeyType]],
    columns: Sequence[str],
) -> Tuple[List[pa.Array], Ints]:
    """Counts distinct rows of canonical keys, and moves them to the host.

    Args:
      keys: a series for each key column.
      sizes: number of occurrences for which each row stands, on the host; None if all are 1.
      kinds: type of each column.
      columns: names of the columns, for messages.
    """
    if dispatch.is_cpu_object(keys[0]):
        arrays = [[to_arrow(*part)] for part in zip(keys, kinds, columns)]
        return totals(arrays, None if sizes is None else [sizes])
    frame, names = keys[0].to_frame("0"), [str(number) for number in range(len(keys))]
    for name, part in zip(names[1:], keys[1:]):
        frame[name] = part
    sizes = frame.groupby(names, dropna=False, sort=False).size().rename("size").reset_index()
    host = dispatch.convert_data(sizes, cpu=True, to_collection=False)
    arrays = [to_arrow(host[name], kind, key) for name, kind, key in zip(names, kinds, columns)]
    return arrays, host["size"].to_numpy(np.int64)


def _merged_kind(parts: Sequence[Counts], number: int, column: str) -> Optional[KeyType]:
    kind = merged((part.kinds[number] for part in parts), column)
    nulls = any(part.kinds[number] is None and len(part) for part in parts)
    return kind.with_nulls() if kind is not None and nulls else kind
