"""The order of keys by (occurrences descending, key ascending), made of counted buckets of keys.

With one bucket it is sorted where it is. With n, each is sorted, keys of a sample of all cut each
into n pieces, and the pieces between the same two keys make a range of the order: no task holds
more than three times the keys of a range.
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
"""Keys of each bucket that stand for it where the cuts are sought."""

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
    """Delayed `Cuts`, and delayed `Counts` of consecutive ranges of the order, from the first on.

    Args:
      buckets: delayed `Counts`, without a key in common.
      group: whose keys they are.
    """
    ordered = [dask.delayed(by_frequency)(bucket) for bucket in buckets]
    cuts = dask.delayed(_splits)([dask.delayed(_sampled)(bucket) for bucket in ordered], group)
    pieces = [dask.delayed(_partition)(bucket, cuts, len(buckets)) for bucket in ordered]
    ranges = [
        dask.delayed(_range)([piece[number] for piece in pieces], cuts, group)
        for number in range(len(buckets))
    ]
    return cuts, ranges


def by_frequency(counts: Counts) -> Counts:
    """The same, sorted: a total order, as keys are unique, and the same on any processor.

    Words are compared by code point, and nulls come first.
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


def _partition(ordered: Counts, cuts: Splits, number: int) -> List[Counts]:
    """What a sorted bucket holds of each range."""
    if number == 1:
        return [ordered]
    rows = _SortKeys(ordered)
    stops = [bisect_left(rows, cut) for cut in cuts.rows] or [0] * (number - 1)
    bounds = [0, *stops, len(ordered)]
    return [ordered.take(np.arange(*bounds[place : place + 2])) for place in range(number)]


def _range(pieces: Sequence[Counts], cuts: Splits, group: KeyGroup) -> Counts:
    """The sorted keys of several sorted pieces."""
    keys, sizes = joined(pieces, cuts.kinds, group.keys)
    together = Counts(keys, sizes, cuts.kinds, {})
    return together if len(pieces) == 1 else by_frequency(together)


class _SortKeys(Sequence[SortKey]):
    """Counts as a sequence of rows, made one by one."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def __len__(self) -> int:
        return len(self._counts)

    def __getitem__(self, place: Any) -> SortKey:
        keys = (part[place].as_py() for part in self._counts.keys)
        return (-int(self._counts.sizes[place]), *((key is not None, key) for key in keys))
