"""The ids of a catalog as an inclusive range: the only place where +1 and -1 occur."""

import operator
from dataclasses import dataclass
from typing import Any

from merlin_popsampler.errors import PopSamplerError

PADDING_ID, NULL_ID, FIRST_OOV_ID = 0, 1, 2
"""Ids that Categorify keeps for what is no item; it has as many unknown-key ids as buckets."""

MAX_LEGAL_ID = 2**53
"""Largest id a Merlin schema carries exactly: its integers pass through float64."""


@dataclass(frozen=True)
class IdDomain:
    """Ids `min_id` to `max_id`, both inclusive, where rank 0 is the most frequent item.

    An empty domain is written as `max_id = min_id - 1`.

    Args:
      min_id: first id that stands for an item, `>= 0`.
      max_id: last id that stands for an item, `>= min_id - 1`, below 2**53.

    Raises:
      PopSamplerError: not integers, or out of these ranges.

    Example:
      >>> domain = IdDomain(3, 10)
      >>> domain.size, domain.cardinality, domain.rank(3), domain.id(7)
      (8, 11, 0, 10)
    """

    min_id: int
    max_id: int

    def __post_init__(self) -> None:
        for name in ("min_id", "max_id"):
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        if self.min_id < 0 or self.max_id < self.min_id - 1 or self.max_id >= MAX_LEGAL_ID:
            raise PopSamplerError(
                "Expected 0 <= min_id <= max_id + 1 <= 2**53, both inclusive ids. "
                f"Received: min_id={self.min_id}, max_id={self.max_id}. "
                "Pass the first and the last id that stand for an item."
            )

    @property
    def size(self) -> int:
        """Number of items."""
        return self.max_id - self.min_id + 1

    @property
    def cardinality(self) -> int:
        """Rows that an embedding table needs to hold every id from 0 to `max_id`."""
        return self.max_id + 1

    def rank(self, ids: Any) -> Any:
        """Ids to ranks (0 = most frequent), for numbers, arrays and tensors alike."""
        return ids - self.min_id

    def id(self, ranks: Any) -> Any:
        """Ranks to ids, for numbers, arrays and tensors alike."""
        return ranks + self.min_id

    def contains(self, ids: Any) -> Any:
        """Whether ids stand for an item: bools of the ids' shape."""
        return (ids >= self.min_id) & (ids <= self.max_id)


def _whole(name: str, value: Any) -> int:
    """Integers of any library, and the floats that Merlin's schema files make of them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise PopSamplerError(
            f"Expected {name} to be a whole number. Received: {value!r}. "
            "Take it from the data set's schema instead of typing it."
        ) from None
