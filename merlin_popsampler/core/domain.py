"""Represents the item ids of a catalog, as an inclusive range or in any order."""

import zlib
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

from merlin_popsampler.errors import PopSamplerError

from .checks import LONGEST_LIST, frozen_array, whole_number

PADDING_ID, NULL_ID, FIRST_OOV_ID = 0, 1, 2
"""Ids that Categorify reserves: padding, null, and the first of `num_buckets` ids for unknown keys.
"""

MAX_LEGAL_ID = 2**53
"""Exclusive limit of ids, since Merlin's schema files store integers as float64."""


@dataclass(frozen=True)
class IdDomain:
    """Describes the item ids `min_id` to `max_id`, both inclusive, in frequency order.

    Rank 0 is the most frequent item. `max_id = min_id - 1` describes an empty domain.

    Args:
      min_id: first id that stands for an item, `>= 0`.
      max_id: last id that stands for an item, `>= min_id - 1`, below 2**53.

    Raises:
      PopSamplerError: the arguments are not integers, or are out of range.

    Examples:
      >>> domain = IdDomain(3, 10)
      >>> domain.size, domain.cardinality, domain.rank(3), domain.id(7)
      (8, 11, 0, 10)
      >>> domain.contains(3), domain.contains(11)
      (True, False)
    """

    min_id: int
    max_id: int

    def __post_init__(self) -> None:
        advice = "Take it from the data set's schema instead of typing it."
        for name, least in (("min_id", 0), ("max_id", -1)):
            number = whole_number(name, getattr(self, name), least, advice, MAX_LEGAL_ID - 1)
            object.__setattr__(self, name, number)
        if self.max_id < self.min_id - 1:
            raise PopSamplerError(
                "Expected min_id <= max_id, both inclusive, or max_id = min_id - 1 for no items. "
                f"Received: min_id={self.min_id}, max_id={self.max_id}. "
                "Pass the first and the last id that stand for an item."
            )

    @property
    def size(self) -> int:
        """Number of items."""
        return self.max_id - self.min_id + 1

    @property
    def cardinality(self) -> int:
        """Number of rows of an embedding table for the ids from 0 to `max_id`."""
        return self.max_id + 1

    def contains(self, ids: Any) -> Any:
        """Tests whether each id stands for an item; ids are a number, array, series or tensor.

        The dtype of a tensor must be able to hold `max_id`.
        """
        return (ids >= self.min_id) & (ids <= self.max_id)

    def rank(self, ids: Any) -> Any:
        """Maps ids to ranks (0 = most frequent); ids are a number, array or tensor.

        The result has the dtype of `ids`, which must be able to hold it.
        """
        return ids - self.min_id

    def id(self, ranks: Any) -> Any:
        """Maps ranks to ids; ranks are a number, array or tensor.

        The result has the dtype of `ranks`, which must be able to hold it.
        """
        return ranks + self.min_id


class MappedIds:
    """Maps item ids in any order to ranks, as `IdDomain` does for ids in frequency order.

    Args:
      ids: integers `[items]`, the id of each rank, all different, from 0 to 10**9 - 1.

    Attributes:
      ids: int32 `[items]`, the id of each rank.
      ranks: int32 `[max_id + 1]`, the rank of each id; -1 for ids that are not items.

    Raises:
      PopSamplerError: the ids are not integers in this range, or repeat.

    Examples:
      >>> items = MappedIds([8, 3, 5])
      >>> items.size, items.cardinality, items.min_id, items.max_id
      (3, 9, 3, 8)
      >>> items.rank(np.array([8, 3, 4, -1, 99])).tolist(), items.id(np.array([0, 2])).tolist()
      ([0, 1, -1, -1, -1], [8, 5])
    """

    def __init__(self, ids: Any) -> None:
        found = frozen_array("item_ids", ids, np.int64)
        if found.ndim != 1 or not found.size or found.min() < 0:
            raise PopSamplerError(
                f"Expected item_ids to be a flat list of ids from 0 on. Received: shape "
                f"{found.shape}. Pass the id of each rank, the most popular item first."
            )
        advice = "Number the keys, for example by pandas.factorize."
        cardinality = 1 + whole_number("an id", int(found.max()), 0, advice, LONGEST_LIST - 1)
        self.ids = found.astype(np.int32)
        self.ranks = np.full(cardinality, -1, np.int32)
        self.ranks[self.ids] = np.arange(len(found), dtype=np.int32)
        if np.count_nonzero(self.ranks >= 0) < len(found):
            raise PopSamplerError(
                "Expected item_ids to differ from each other. Received: repeated ids. "
                "Pass each item once."
            )

    @property
    def size(self) -> int:
        """Number of items."""
        return len(self.ids)

    @property
    def cardinality(self) -> int:
        """Number of rows of an embedding table for the ids from 0 to `max_id`."""
        return len(self.ranks)

    @property
    def checksum(self) -> int:
        """Checksum of the ids in the order of their ranks, from 1 to 2**31 - 1."""
        return zlib.crc32(self.ids.astype("<i4")) % (2**31 - 1) + 1

    @property
    def min_id(self) -> int:
        """Smallest id of an item."""
        return int(self.ids.min())

    @property
    def max_id(self) -> int:
        """Largest id of an item."""
        return self.cardinality - 1

    def contains(self, ids: Any) -> Any:
        """Tests whether ids stand for an item, bool of their shape."""
        return self.rank(ids) >= 0

    def rank(self, ids: Any) -> Any:
        """Maps ids to ranks, int64 of their shape; -1 for ids that are not items."""
        inside = (ids >= 0) & (ids < self.cardinality)
        return np.where(inside, self.ranks[np.where(inside, ids, 0)], -1).astype(np.int64)

    def id(self, ranks: Any) -> Any:
        """Maps ranks to ids, int64 of their shape."""
        return self.ids[ranks].astype(np.int64)


def id_domain(min_id: Any, max_id: Any, item_ids: Any = None) -> Union[IdDomain, MappedIds]:
    """Builds the id domain of a sampler: a range in frequency order, or ids in any order.

    Args:
      min_id: smallest id of an item, inclusive.
      max_id: largest id of an item, inclusive.
      item_ids: the id of each rank; None if the rank of an id is `id - min_id`.

    Raises:
      PopSamplerError: `min_id` and `max_id` are not the smallest and the largest of `item_ids`.

    Examples:
      >>> id_domain(3, 5)
      IdDomain(min_id=3, max_id=5)
      >>> id_domain(3, 8, [8, 3, 5]).size
      3
    """
    domain = IdDomain(min_id, max_id)
    if item_ids is None:
        return domain
    mapped = MappedIds(item_ids)
    if (mapped.min_id, mapped.max_id) != (domain.min_id, domain.max_id):
        raise PopSamplerError(
            f"Expected min_id and max_id to be the smallest and largest of item_ids, "
            f"{mapped.min_id} and {mapped.max_id}. Received: {domain.min_id} and {domain.max_id}. "
            "Pass these two, or build the sampler with from_counts."
        )
    return mapped
