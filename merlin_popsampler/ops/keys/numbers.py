"""Counts keys that are numbers, in NumPy."""

from typing import Any, Optional, Tuple

import numpy as np

from merlin_popsampler.core.run_lengths import run_starts
from merlin_popsampler.core.segments import Ints

_SLOW_SORT = np.lib.NumpyVersion(np.__version__) < "1.25.0"
"""Whether NumPy sorts 64-bit numbers one by one; later versions have vector instructions."""


def number_totals(keys: Any, sizes: Optional[Ints]) -> Tuple[Any, Ints]:
    """Returns distinct numbers in ascending order, and the total count of each, int64.

    Args:
      keys: integers or floats, without NaN.
      sizes: counts of the rows, whose sum is below 2**53; None for one each.
    """
    if sizes is not None:
        order = np.argsort(keys, kind="stable")  # fast on a few ascending runs
        keys, sizes = keys[order], sizes[order]
        firsts = run_starts(keys)
        return keys[firsts], np.add.reduceat(sizes, firsts) if len(firsts) else sizes
    if keys.dtype.kind in "iu" and len(keys):
        return _integers(keys)
    return _runs(np.sort(keys))


def _integers(keys: Any) -> Tuple[Any, Ints]:
    """Counts integers: by their value where the range is small, else by sorting."""
    lowest = keys.min()
    # As unsigned numbers, differences are right even where they overflow.
    above = (keys - lowest).view(f"u{keys.itemsize}")
    width = int(above.max())
    if width < len(keys):
        counts = np.bincount(above.astype(np.int64))
        present = np.flatnonzero(counts)
        return lowest + present.astype(keys.dtype), counts[present]
    shift = above.dtype.type(max(width.bit_length() - 16, 0))
    return _runs(_by_upper_bits(keys, above >> shift) if _SLOW_SORT else np.sort(keys))


def _by_upper_bits(keys: Any, upper: Any) -> Any:
    """Sorts integers by their upper 16 bits first, which NumPy sorts by radix."""
    upper = upper.astype(np.uint16)
    sample = upper[:: len(upper) // 1000 + 1]
    if len(np.unique(sample)) <= len(sample) // 3:  # most keys would remain to be sorted
        return np.sort(keys)
    keys = keys[np.argsort(upper, kind="stable")]
    keys.sort(kind="stable")
    return keys


def _runs(ascending: Any) -> Tuple[Any, Ints]:
    """Returns the distinct values of an ascending array, and the count of each."""
    firsts = run_starts(ascending)
    return ascending[firsts], np.diff(firsts, append=len(ascending))
