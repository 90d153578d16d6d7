"""Which id each item had before a refit, and what that means for the rows of a table."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple, Union

import numpy as np

from merlin_popsampler.errors import PopSamplerError

from .checks import frozen_array, truncate_repr
from .domain import FIRST_OOV_ID, IdDomain
from .segments import Ints

MEAN, OUT_OF_VOCABULARY, AS_INITIALIZED = "mean", "out of vocabulary", "as initialized"
NEW_ITEMS = (MEAN, OUT_OF_VOCABULARY, AS_INITIALIZED)
"""Where the rows of items come from that the earlier fit did not know."""


@dataclass(frozen=True, eq=False)
class IdMap:
    """The new id of each id of an earlier fit.

    `id_map(old, new)` makes it from two fits. Make one yourself where the ids are your own.

    Args:
      new_ids: integers `[old.cardinality]`, the new id of each old id; -1 where there is none.
        It is read-only int64 afterwards.
      old: the ids that stood for an item.
      new: the ids that stand for one now.

    Raises:
      PopSamplerError: another length, ids beyond `new.max_id`, or one new id of two old ones.

    Examples:
      >>> found = IdMap([0, 1, 2, 4, -1, 3], IdDomain(3, 5), IdDomain(3, 6))
      >>> found.new_ids[[3, 4, 5]].tolist()
      [4, -1, 3]
      >>> found.old_ids.tolist()
      [0, 1, 2, 5, 3, -1, -1]
    """

    new_ids: Ints
    old: IdDomain
    new: IdDomain

    def __post_init__(self) -> None:
        ids = frozen_array("new_ids", self.new_ids, np.int64)
        if ids.shape != (self.old.cardinality,):
            raise PopSamplerError(
                f"Expected new_ids for the ids 0 to {self.old.max_id}, shape "
                f"({self.old.cardinality},). Received: shape {ids.shape}. "
                "List the reserved ids too, and -1 for ids that are gone."
            )
        beyond = len(ids) and not (ids.min() >= -1 and ids.max() < self.new.cardinality)
        if beyond or _any_twice(ids, self.new.cardinality):
            raise PopSamplerError(
                f"Expected new_ids from -1 to {self.new.max_id}, each from one old id. Received: "
                f"{truncate_repr(ids.tolist())}. Pass -1 for ids that are gone."
            )
        object.__setattr__(self, "new_ids", ids)

    @cached_property
    def old_ids(self) -> Ints:
        """The inverse: int64 `[new.cardinality]`, the old id of each new id; -1 for a new item."""
        before = np.full(self.new.cardinality, -1)
        known = np.flatnonzero(self.new_ids >= 0)
        before[self.new_ids[known]] = known
        before.setflags(write=False)
        return before

    @cached_property
    def kept_ids(self) -> Ints:
        """The new ids that the earlier fit had, too: int64, ascending."""
        return np.flatnonzero(self.old_ids >= 0)

    @cached_property
    def added_ids(self) -> Ints:
        """The new ids that the earlier fit did not have: int64, ascending."""
        return np.flatnonzero(self.old_ids < 0)

    @property
    def moved(self) -> "MovedRows":
        """How many rows of a table stay, appear and vanish."""
        stay = int(np.count_nonzero(self.new_ids >= 0))
        return MovedRows(stay, self.new.cardinality - stay, self.old.cardinality - stay)

    def averaged(self, new_items: str) -> Ints:
        """The old ids whose mean row a new item begins with.

        Args:
          new_items: "mean" or "out of vocabulary".

        Raises:
          PopSamplerError: no such ids.
        """
        if new_items == OUT_OF_VOCABULARY:
            ids = np.arange(FIRST_OOV_ID, self.old.min_id)
            needed, advice = "ids of unknown keys in the old fit", "'mean'"
        else:
            known = self.old_ids[self.new.min_id :]
            ids = known[known >= self.old.min_id]
            needed, advice = "items that both fits have", "'as initialized'"
        if not len(ids):
            raise PopSamplerError(
                f"Expected {needed} for new_items={new_items!r}. Received: none. "
                f"Pass new_items={advice}."
            )
        return ids


def _any_twice(ids: Ints, cardinality: int) -> bool:
    """Tests whether an id occurs twice, -1 aside."""
    seen = np.zeros(cardinality + 1, bool)
    seen[ids] = True  # -1 is the last one
    return np.count_nonzero(seen[:-1]) < np.count_nonzero(ids >= 0)


class MovedRows(NamedTuple):
    """Rows of a table, by what became of them.

    Attributes:
      kept: rows that have moved, reserved ids' among them.
      added: rows of new ids.
      gone: rows of old ids that are not there any more.
    """

    kept: int
    added: int
    gone: int


class WarmStart(NamedTuple):
    """What a warm start has moved.

    Attributes:
      tables: by name, the rows of each table that follows an `IdMap`.
      copied: names of the weights that were copied as they are.
      left: names of the weights that the new model keeps.
      slots: the slots of each table's optimizer state that were moved, by the table's name.
    """

    tables: Dict[str, MovedRows]
    copied: List[str]
    left: List[str]
    slots: Dict[str, List[str]]


IdMaps = Mapping[str, Union[IdMap, None]]


def checked_id_maps(id_maps: Any) -> Dict[str, Any]:
    """Id maps by name of the tables that they are for; "" names the only table there is.

    Raises:
      PopSamplerError: something else.
    """
    if isinstance(id_maps, IdMap):
        return {"": id_maps}
    fine = isinstance(id_maps, Mapping) and all(
        isinstance(name, str) and (value is None or isinstance(value, IdMap))
        for name, value in id_maps.items()
    )
    if not fine:
        raise PopSamplerError(
            "Expected id maps by name, {'item_id': id_map(old, new)}, where None leaves a table as "
            f"the new model has it. Received: {truncate_repr(id_maps)}. "
            "Name each table that has a row for "
            "each id."
        )
    return dict(id_maps)


def checked_new_items(new_items: Any) -> Any:
    """One of `NEW_ITEMS`, or what the framework takes as an initializer.

    Raises:
      PopSamplerError: something else.
    """
    if new_items in NEW_ITEMS or callable(new_items):
        return new_items
    raise PopSamplerError(
        f"Expected new_items in {NEW_ITEMS}, or an initializer. "
        f"Received: {truncate_repr(new_items)}. "
        "Take 'mean' for the mean of the rows that both fits have."
    )


def check_rows(name: str, shapes: Tuple[Any, Any], id_map: IdMap) -> None:
    """Refuses tables that do not belong to the two fits.

    Args:
      name: of the table.
      shapes: of the old table and of the new one, rows first.
      id_map: from the old fit to the new one.

    Raises:
      PopSamplerError: too few rows, or rows of another width.
    """
    old, new = shapes
    rows = id_map.old.cardinality, id_map.new.cardinality
    fine = old and new and old[1:] == new[1:] and old[0] >= rows[0] and new[0] >= rows[1]
    if not fine:
        raise PopSamplerError(
            f"Table {name!r}: expected {rows[0]} rows or more before and {rows[1]} or more now, "
            f"max_id + 1 of each fit, and one width. Received: shapes {list(old)} and {list(new)}. "
            "Make each model for the schema of its own fit, and pass the id_map of these fits."
        )


def check_same_shape(name: str, shapes: Tuple[Any, Any], id_maps: Mapping[str, Any]) -> None:
    """Refuses to copy a weight that has another shape now, or that may be a table of items.

    Args:
      name: of the weight.
      shapes: of the old weight and of the new one.
      id_maps: of all tables, by name.

    Raises:
      PopSamplerError: other shapes, or as many rows as there are ids, and no id map.
    """
    old, new = shapes
    suspects = [
        column
        for column, found in id_maps.items()
        if found and (found.old.cardinality, found.new.cardinality) in zip(old, new)
    ]
    if suspects or old != new:
        reason = f"the rows of {suspects[0]!r}" if suspects else "shapes that differ"
        raise PopSamplerError(
            f"Weight {name!r}: expected an id map for a weight with a row for each id, and one "
            f"shape for any other. Received: {reason}, {list(old)} before and {list(new)} now. "
            "Add its name to the id maps, with None if it stays as the new model has it."
        )
