"""The ids of a catalog as an inclusive range: the only place where +1 and -1 occur."""

from dataclasses import dataclass
from typing import Any

from merlin_popsampler.errors import PopSamplerError

from .checks import whole_number

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
        """Rows that an embedding table needs to hold every id from 0 to `max_id`."""
        return self.max_id + 1

    def contains(self, ids: Any) -> Any:
        """Whether ids stand for an item, for numbers, arrays, series and tensors alike."""
        return (ids >= self.min_id) & (ids <= self.max_id)

    def rank(self, ids: Any) -> Any:
        """Ids to ranks (0 = most frequent), for numbers, arrays and tensors alike."""
        return ids - self.min_id

    def id(self, ranks: Any) -> Any:
        """Ranks to ids, for numbers, arrays and tensors alike."""
        return ranks + self.min_id
