"""Stores counts of consecutive ids by run-length encoding."""

from dataclasses import dataclass
from typing import Any, Iterator, Sequence

import numpy as np

from merlin_popsampler.core.segments import Ints

_BLOCK = 2**20
"""Number of ids whose counts are decoded at a time, 8 bytes each."""


def run_starts(values: Any) -> Ints:
    """Returns the position of the first element of each run of equal neighbours, int64 `[runs]`."""
    return np.flatnonzero(np.append(True, values[1:] != values[:-1])[: len(values)])


@dataclass(frozen=True)
class RunLengths:
    """Holds counts in the order of ids, with equal neighbours as one run.

    Args:
      sizes: int64 `[runs]`, the count of each id of a run.
      lengths: int64 `[runs]`, number of ids of each run.

    Examples:
      >>> runs = RunLengths.of(np.array([5, 3, 3, 1]))
      >>> runs.sizes.tolist(), runs.lengths.tolist(), len(runs)
      ([5, 3, 1], [1, 2, 1], 4)
      >>> runs.between(1, 3).counts().tolist()
      [3, 3]
    """

    sizes: Ints
    lengths: Ints

    @classmethod
    def of(cls, counts: Ints) -> "RunLengths":
        """Encodes counts, int64 `[ids]`."""
        firsts = run_starts(counts)
        return cls(counts[firsts], np.diff(firsts, append=len(counts)))

    @classmethod
    def joined(cls, parts: "Sequence[RunLengths]") -> "RunLengths":
        """Concatenates the runs of consecutive ranges of ids."""
        sizes = np.concatenate([part.sizes for part in parts])
        return cls(sizes, np.concatenate([part.lengths for part in parts]))

    def __len__(self) -> int:
        """Returns the number of ids."""
        return int(self.lengths.sum())

    def between(self, start: int, stop: int) -> "RunLengths":
        """Returns the runs of the ids from `start` (inclusive, from 0 on) to `stop` (exclusive)."""
        ends = np.cumsum(self.lengths)
        lengths = np.minimum(ends, stop) - np.maximum(ends - self.lengths, start)
        held = lengths > 0
        return RunLengths(self.sizes[held], lengths[held])

    def counts(self) -> Ints:
        """Decodes the counts, int64 `[ids]`."""
        return np.repeat(self.sizes, self.lengths)

    def blocks(self) -> Iterator[Ints]:
        """Decodes the counts in blocks of up to 2**20 ids, int64."""
        for start in range(0, len(self), _BLOCK):
            yield self.between(start, start + _BLOCK).counts()
