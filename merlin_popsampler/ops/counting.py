"""Occurrences of keys: one pass over a partitioned data frame, reduced on the host as a tree."""

from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import dask
import numpy as np
import pandas as pd
import pyarrow as pa
from merlin.core import dispatch

from .key_families import EXACT, unusable
from .key_kinds import KeyKind, canonical, merged, widened
from .keys import KeyGroup, Rows, all_null, filled, is_list, key_columns, merged_rows, without

SIZE = 0
"""Label of the column of occurrences: no word, since a key column may bear any."""

_ARROW = {"word": pa.large_string(), "bytes": pa.large_binary()}
"""Arrow's types for objects; those of the other families it finds by itself."""


@dataclass(frozen=True)
class Counts:
    """Occurrences of the keys of one group, in all of the data or in a part.

    Args:
      frame: the key columns, canonical, and `SIZE` (int64), one row a key, in no particular order.
      rows: what was seen of each column.
      kinds: of each key column; None where there is no key.
    """

    frame: pd.DataFrame
    rows: Dict[str, Rows]
    kinds: Tuple[Optional[KeyKind], ...]

    @property
    def nulls(self) -> int:
        """Rows, or list elements, without a key."""
        return sum(rows.nulls for rows in self.rows.values())


def count_keys(ddf: Any, groups: Sequence[KeyGroup], split_every: Dict[str, int]) -> Dict[str, Any]:
    """Delayed `Counts` of each group, by its name, in one pass over the data.

    Partitions are counted where they are, on a GPU too; what is left goes to the host at once, so
    that whatever is decided by counts and keys is decided by one piece of code.

    Args:
      ddf: dask data frame of pandas or cuDF partitions.
      groups: what to count.
      split_every: by group, how many partial counts are added up in one task.
    """
    # Graphs stay as they are: an optimized copy would have other task names, and operators that
    # are fitted together would then read the data once each.
    counted = [
        dask.delayed(_count_partition)(part, groups)
        for part in ddf.to_delayed(optimize_graph=False)
    ]
    delayed = {}
    for group in groups:
        parts = [part[group.name] for part in counted]
        width = max(2, split_every[group.name])
        while len(parts) > 1:
            pieces = [parts[start : start + width] for start in range(0, len(parts), width)]
            parts = [dask.delayed(_add)(piece, group) for piece in pieces]
        delayed[group.name] = parts[0]
    return delayed


def _count_partition(df: Any, groups: Sequence[KeyGroup]) -> Dict[str, Counts]:
    return {group.name: _count(df, group) for group in groups}


def _count(df: Any, group: KeyGroup) -> Counts:
    """Counts of one partition, column by column where columns are pooled."""
    alone = group.joint or len(group.columns) == 1
    together = [(column,) for column in group.columns] if alone else [group.columns]
    return _add([_count_rows(df, columns, group) for columns in together], group)


def _count_rows(df: Any, columns: Tuple[str, ...], group: KeyGroup) -> Counts:
    """Counts of one column or combination; nulls go first, since they make floats of integers."""
    shown = [is_list(df[column]) for column in columns]
    parts = zip(group.keys, key_columns(df, columns, any(shown)))
    keys = type(df)(dict(parts)).reset_index(drop=True)
    bare = [None if not len(df) else of is None or (of and not len(keys)) for of in shown]
    missing = [keys[key].isna() for key in group.keys]
    floating = [bool(of.any()) and not _masked(keys[key]) for key, of in zip(group.keys, missing)]
    dtypes = [frozenset([str(keys[key].dtype)] if len(keys) else ()) for key in group.keys]
    null = all_null(missing)
    nulls = int(null.sum())
    if nulls:
        keys = keys[~null].reset_index(drop=True)
    kinds, convert = [], canonical if len(columns) == 1 else _canonical_part
    for key in group.keys:
        keys[key], kind = convert(keys[key], key)
        kinds.append(kind)
    frame = _distinct(keys, kinds, lambda grouped: grouped.size())
    large = [kind is not None and _large(frame[key]) for key, kind in zip(group.keys, kinds)]
    found = zip(columns, [nulls] + [0] * len(columns), shown, bare, floating, large, dtypes)
    return Counts(frame, {column: Rows(*seen) for column, *seen in found}, tuple(kinds))


def _canonical_part(keys: Any, column: str) -> Tuple[Any, Optional[KeyKind]]:
    """Canonical keys and their kind; nulls, as a part of a combination may be, stay in place."""
    null = keys.isna()
    if bool(null.all()):
        return keys.astype(object), None
    values, kind = canonical(filled(keys, null), column)
    if kind is None or not bool(null.any()):
        return values, kind
    kind = kind.with_nulls()
    return without(widened(values, kind, column), null), kind


def _masked(keys: Any) -> bool:
    """Whether nulls beside integers leave these as they are."""
    return not (dispatch.is_cpu_object(keys) and isinstance(keys.dtype, np.dtype))


def _large(keys: pd.Series) -> bool:
    whole = keys.dtype.kind in "iu" and len(keys) > 0
    return whole and bool(max(int(keys.max()), -int(keys.min())) >= EXACT)


def _distinct(
    frame: Any, kinds: Sequence[Optional[KeyKind]], total: Callable[[Any], Any]
) -> pd.DataFrame:
    """Distinct rows of canonical keys with a total of each, `SIZE`, on the host."""
    names = [name for name in frame.columns if name != SIZE]
    objects = {}
    if dispatch.is_cpu_object(frame):
        for name, kind in zip(names, kinds):
            if kind is None or kind.dtype == "object":
                frame[name], objects[name] = _coded(frame[name], kind, name)
    totals = total(frame.groupby(names, dropna=False, sort=False)).rename(SIZE).reset_index()
    found: pd.DataFrame = dispatch.convert_data(totals, cpu=True, to_collection=False)
    for name, values in objects.items():
        found[name] = values[found[name]]
    return found


def _coded(keys: pd.Series, kind: Optional[KeyKind], column: str) -> Tuple[Any, Any]:
    """Each key's place in an array of distinct keys, and that array, which ends with a null.

    pandas takes words for one that are equal up to a NUL; Arrow does not, and says at once what
    a file will not hold.
    """
    family = "null" if kind is None else kind.family
    try:
        coded = pa.array(keys, _ARROW.get(family), from_pandas=True).dictionary_encode()
    except UnicodeEncodeError as error:
        raise unusable(column, f"words that are no Unicode ({error})", "Replace them.") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise unusable(column, f"{family} keys that no file holds ({error})") from None
    distinct = np.empty(len(coded.dictionary) + 1, object)
    distinct[:-1] = coded.dictionary.to_pandas()
    return coded.indices.fill_null(-1).to_numpy(), distinct


def _add(parts: List[Counts], group: KeyGroup) -> Counts:
    kinds = tuple(_merged_kind(parts, place, key) for place, key in enumerate(group.keys))
    parted = [part for part in parts if len(part.frame)] or parts[:1]
    frame = pd.concat([_widened(part, group.keys, kinds) for part in parted], ignore_index=True)
    if len(parted) > 1:
        frame = _distinct(frame, kinds, lambda grouped: grouped[SIZE].sum())
    seen = {
        column: merged_rows([part.rows[column] for part in parts if column in part.rows], column)
        for column in group.columns
    }
    return Counts(frame, seen, kinds)


def _merged_kind(parts: List[Counts], place: int, key: str) -> Optional[KeyKind]:
    kind = merged((part.kinds[place] for part in parts), key)
    nulls = any(part.kinds[place] is None and len(part.frame) for part in parts)
    return kind.with_nulls() if kind is not None and nulls else kind


def _widened(part: Counts, keys: Sequence[str], kinds: Sequence[Optional[KeyKind]]) -> pd.DataFrame:
    """The part's frame with key columns in the merged kinds' dtypes."""
    frame = part.frame.copy(deep=False)
    for key, kind, own in zip(keys, kinds, part.kinds):
        if kind is not None and kind != own:
            keys_of = frame[key]
            frame[key] = keys_of.astype(kind.dtype) if own is None else widened(keys_of, kind, key)
    return frame
