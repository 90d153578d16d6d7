"""The order of keys by (occurrences descending, key ascending), made of counted buckets of keys.

One bucket is sorted directly. Several buckets are merged by sample sort: each bucket is sorted, and
keys of a sample split it into ranges. The same range of all buckets is sorted in one task, which
holds at most three times the keys of a range.
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import dask
import numpy as np

from .counting import Counts, all_rows, joined, merged_kinds
from .keys.arrays import ascending
from .keys.columns import ColumnSummary, KeyGroup
from .keys.kinds import KeyType

_SAMPLE = 256
"""Keys of each bucket in the sample."""

SortKey = Tuple[Any, ...]
"""A key and its size as values that Python orders as Arrow does."""


@dataclass(frozen=True)
class Splits:
    """What all ranges have in common.

    Args:
      rows: between ranges, the first of the next.
      kinds: of the key columns.
      seen: by column, what was seen of its rows.
    """

    rows: Sequence[SortKey]
    kinds: Tuple[Optional[KeyType], ...]
    seen: Mapping[str, ColumnSummary]


def ranked(buckets: Sequence[Any], group: KeyGroup) -> Tuple[Any, List[Any]]:
    """Delayed `Splits`, and delayed `Counts` of consecutive ranges of the order, from the first on.

    Args:
      buckets: delayed `Counts`, without a key in common.
      group: whose keys they are.
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
    """The same, sorted: a total order, as keys are unique, and the same on any processor.

    Strings are compared by code point, and nulls come first.
    """
    order = ascending(counts.keys)
    return counts.take(order[np.argsort(-counts.sizes[order], kind="stable")])


def _sampled(counts: Counts) -> Counts:
    """Keys at regular places of a sorted bucket."""
    number = min(len(counts), _SAMPLE)
    return counts.take(np.arange(number) * len(counts) // max(number, 1))


def _splits(samples: Sequence[Counts], group: KeyGroup) -> Splits:
    """The keys at which ranges of about one length begin.

    Raises:
      PopSamplerError: keys of several kinds.
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
    """What a sorted bucket holds of each range."""
    if number == 1:
        return [ordered]
    rows = _SortKeys(ordered)
    stops = [bisect_left(rows, cut) for cut in splits.rows] or [0] * (number - 1)
    bounds = [0, *stops, len(ordered)]
    return [ordered.take(np.arange(*bounds[place : place + 2])) for place in range(number)]


def _range(parts: Sequence[Counts], splits: Splits, group: KeyGroup) -> Counts:
    """The sorted keys of several sorted parts."""
    keys, sizes = joined(parts, splits.kinds, group.keys)
    together = Counts(keys, sizes, splits.kinds, {})
    return together if len(parts) == 1 else by_frequency(together)


class _SortKeys(Sequence[SortKey]):
    """Counts as a sequence of rows, made one by one."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def __len__(self) -> int:
        return len(self._counts)

    def __getitem__(self, place: Any) -> SortKey:
        keys = (part[place].as_py() for part in self._counts.keys)
        return (-int(self._counts.sizes[place]), *((key is not None, key) for key in keys))
