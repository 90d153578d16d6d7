"""Sorts counted keys by (occurrences descending, key ascending), bucket by bucket.

One bucket is sorted directly. Several buckets are merged by sample sort: each bucket is sorted, and
keys of a sample split it into ranges. The same range of all buckets is sorted in one task, which
holds at most three times the keys of a range.
"""

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import dask
import numpy as np

from merlin_popsampler.core.segments import Ints

from .counting import Counts, all_rows, joined, merged_kinds
from .keys.arrays import ascending
from .keys.columns import ColumnSummary, KeyGroup
from .keys.kinds import KeyType
from .keys.strings import one_chunk

_SAMPLE = 256
"""Keys of each bucket in the sample."""

_SHORT = 2**16 - 1
"""Largest 16-bit number. NumPy sorts 16-bit numbers by radix, ten times as fast as 64-bit ones."""

SortKey = Tuple[Any, ...]
"""A key and its size as values that Python orders as Arrow does."""


@dataclass(frozen=True)
class Splits:
    """Holds the limits of the ranges, and the facts that all ranges share.

    Args:
      rows: first row of each range but the first.
      kinds: types of the key columns.
      seen: summary of the rows of each column of the data.
    """

    rows: Sequence[SortKey]
    kinds: Tuple[Optional[KeyType], ...]
    seen: Mapping[str, ColumnSummary]


def ranked(buckets: Sequence[Any], group: KeyGroup) -> Tuple[Any, List[Any]]:
    """Builds the delayed sorting of counted keys.

    Args:
      buckets: delayed `Counts` that have no key in common.
      group: the group of columns that was counted.

    Returns:
      Delayed `Splits`, and delayed `Counts` of consecutive ranges of the sorted keys, as many as
      there are buckets.
    """
    ordered = [dask.delayed(by_frequency)(bucket) for bucket in buckets]
    splits = dask.delayed(_splits)([dask.delayed(_sampled)(bucket) for bucket in ordered], group)
    parts = [dask.delayed(_partition)(bucket, splits, len(buckets)) for bucket in ordered]
    ranges = [
        dask.delayed(_range)([piece[number] for piece in parts], splits, group)
        for number in range(len(buckets))
    ]
    return splits, ranges


def by_frequency(counts: Counts) -> Counts:
    """Sorts counts by (count descending, key ascending).

    Strings are compared by code point, and nulls come first. Keys are distinct, so there are no
    ties, and the order is the same on any processor.
    """
    counts = replace(counts, keys=[one_chunk(part) for part in counts.keys])
    order = ascending(counts.keys)
    return counts.take(order[_descending(counts.sizes[order])])


def _descending(sizes: Ints) -> Ints:
    """Returns the positions of sizes in descending order, equal ones in their own order."""
    short = np.minimum(sizes, _SHORT)
    order = np.argsort((_SHORT - short).astype(np.uint16), kind="stable")
    many = order[: np.count_nonzero(short == _SHORT)]
    many[:] = many[np.argsort(-sizes[many], kind="stable")]
    return order


def _sampled(counts: Counts) -> Counts:
    """Takes keys at regular positions of a sorted bucket."""
    number = min(len(counts), _SAMPLE)
    return counts.take(np.arange(number) * len(counts) // max(number, 1))


def _splits(samples: Sequence[Counts], group: KeyGroup) -> Splits:
    """Selects the keys at which ranges of about equal length begin.

    Raises:
      PopSamplerError: the keys have different types.
    """
    rows = sorted(row for sample in samples for row in _SortKeys(sample))
    firsts = [len(rows) * number // len(samples) for number in range(1, len(samples))]
    kinds = merged_kinds(samples, group.keys)
    seen = all_rows(samples, group)
    for column in group.lists.intersection(seen):
        if seen[column].is_list is None:
            seen[column] = seen[column].as_lists()
    return Splits([rows[first] for first in firsts if rows], kinds, seen)


def _partition(ordered: Counts, splits: Splits, number: int) -> List[Counts]:
    """Splits a sorted bucket at the limits of the ranges."""
    if number == 1:
        return [ordered]
    rows = _SortKeys(ordered)
    stops = [bisect_left(rows, cut) for cut in splits.rows] or [0] * (number - 1)
    bounds = [0, *stops, len(ordered)]
    return [ordered.take(np.arange(*bounds[index : index + 2])) for index in range(number)]


def _range(parts: Sequence[Counts], splits: Splits, group: KeyGroup) -> Counts:
    """Merges the parts of a range that come from the buckets."""
    keys, sizes = joined(parts, splits.kinds, group.keys)
    together = Counts(keys, sizes, splits.kinds, {})
    return together if len(parts) == 1 else by_frequency(together)


class _SortKeys(Sequence[SortKey]):
    """Presents counts as a sequence of rows, which are built one by one."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def __len__(self) -> int:
        return len(self._counts)

    def __getitem__(self, index: Any) -> SortKey:
        keys = (part[index].as_py() for part in self._counts.keys)
        return (-int(self._counts.sizes[index]), *((key is not None, key) for key in keys))
