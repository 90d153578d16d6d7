"""Items with unordered ids, and the same items numbered by popularity."""

import warnings
from typing import Any, Type

import numpy as np

ITEMS = 300
IDS = np.random.default_rng(5).permutation(400)[:ITEMS]
"""The id of each rank; 100 of the ids below 400 are not items."""
COUNTS = (
    np.sort(np.random.default_rng(6).zipf(1.5, ITEMS).clip(max=10**6))[::-1] * ITEMS
    + np.arange(ITEMS)[::-1]
    + 1
)
"""Counts by rank, all different, so that the order has no ties."""
UNKNOWN = np.array([-1, 10**12, *sorted(set(range(400)) - set(IDS.tolist()))])
"""Ids that are not counted."""


def by_id(kind: Type[Any], **arguments: Any) -> Any:
    """Builds a sampler or other negatives over the ids, from shuffled counts."""
    shuffled = np.random.default_rng(7).permutation(ITEMS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about missing ids in the range
        return kind.from_counts((IDS[shuffled], COUNTS[shuffled]), **arguments)


def by_rank(kind: Type[Any], **arguments: Any) -> Any:
    """Builds the same over ranks, which needs no map."""
    return kind.from_counts(COUNTS, **arguments)
