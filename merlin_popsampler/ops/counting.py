"""Occurrences of keys: one pass over a partitioned data frame, reduced on the host as a tree."""

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence

import dask
import pandas as pd
from merlin.core import dispatch

from .keys import KeyGroup, all_null, canonical, elements

SIZE = "_popsampler_size"
"""Column of the occurrences; no key column should bear this name."""


@dataclass(frozen=True)
class Counts:
    """Occurrences of the keys of one group.

    Args:
      frame: the key columns and `SIZE` (int64), one row a key, in no particular order.
      nulls: rows, or list elements, without a key.
    """

    frame: pd.DataFrame
    nulls: int


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
    """Counts of one partition; nulls are set aside first, since they change integers to floats."""
    columns = [elements(df[column]) for column in group.columns]
    if len(group.keys) == 1:
        nulls = sum(int(column.isna().sum()) for column in columns)
        parts = [canonical(column.dropna(), group.name) for column in columns]
        pooled = dispatch.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
        keys = type(df)({group.name: pooled.reset_index(drop=True)})
    else:
        keys = type(df)(dict(zip(group.keys, columns)))
        null = all_null(keys)
        nulls = int(null.sum())
        keys = keys[~null].reset_index(drop=True)
    for key in group.keys:
        keys[key] = canonical(keys[key], group.name)
    sizes = keys.groupby(group.keys, dropna=False, sort=False).size()
    frame = sizes.rename(SIZE).reset_index()
    return Counts(dispatch.convert_data(frame, cpu=True, to_collection=False), nulls)


def _add(parts: List[Counts], group: KeyGroup) -> Counts:
    frames = [part.frame for part in parts if len(part.frame)] or [parts[0].frame]
    frame = pd.concat(frames, ignore_index=True)
    for key in group.keys:
        frame[key] = canonical(frame[key], group.name)
    if len(frames) > 1:
        sums = frame.groupby(group.keys, dropna=False, sort=False)[SIZE].sum()
        frame = sums.reset_index()
    return Counts(frame, sum(part.nulls for part in parts))
