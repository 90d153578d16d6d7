"""Counts of consecutive ids as runs: as short as there are different counts."""

from dataclasses import dataclass
from typing import Iterator, Sequence

import numpy as np

from merlin_popsampler.core.segments import Ints

_BLOCK = 2**20
"""Ids whose counts are held at once, 8 bytes each."""


@dataclass(frozen=True)
class RunLengths:
    """Counts in the order of ids, neighbours that are equal as one.

    Args:
      sizes: int64 `[runs]`, the count of each id of a run.
      lengths: int64 `[runs]`, ids of each run.
    """

    sizes: Ints
    lengths: Ints

    @classmethod
    def of(cls, counts: Ints) -> "RunLengths":
        """Those of counts, int64 `[ids]`."""
        firsts = np.flatnonzero(np.append(True, counts[1:] != counts[:-1])[: len(counts)])
        return cls(counts[firsts], np.diff(firsts, append=len(counts)))

    @classmethod
    def joined(cls, parts: "Sequence[RunLengths]") -> "RunLengths":
        """Those of several ranges of ids, one after the other."""
        sizes = np.concatenate([part.sizes for part in parts])
        return cls(sizes, np.concatenate([part.lengths for part in parts]))

    def __len__(self) -> int:
        """Number of ids."""
        return int(self.lengths.sum())

    def between(self, start: int, stop: int) -> "RunLengths":
        """Those of the ids from `start` (inclusive, from 0 on) to `stop` (exclusive)."""
        ends = np.cumsum(self.lengths)
        lengths = np.minimum(ends, stop) - np.maximum(ends - self.lengths, start)
        held = lengths > 0
        return RunLengths(self.sizes[held], lengths[held])

    def counts(self) -> Ints:
        """The counts themselves, int64 `[ids]`."""
        return np.repeat(self.sizes, self.lengths)

    def blocks(self) -> Iterator[Ints]:
        """The counts in blocks."""
        for start in range(0, len(self), _BLOCK):
            yield self.between(start, start + _BLOCK).counts()
