"""Maps the ids of an earlier fit to those of a later one, and checks tables with a row per id."""

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
"""Ways to initialize the rows of items that the earlier fit did not have; see `warm_start`."""


@dataclass(frozen=True, eq=False)
class IdMap:
    """Maps the ids of an earlier fit to the ids that the same keys have in a later fit.

    `warm_start` takes it to move the rows of embedding tables. `id_map(old, new)` builds it from
    two fits. Construct it directly if this package did not assign the ids.

    Args:
      new_ids: integers `[old.cardinality]`, the new id of each old id, including reserved ids; -1
        if an old id has no new one. The attribute is a read-only int64 array.
      old: the item ids of the earlier fit.
      new: the item ids of the later fit.

    Raises:
      PopSamplerError: `old` or `new` is not the domain of ids; or `new_ids` has another length,
        contains an id outside of `[-1, new.max_id]`, or contains a new id twice.

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
        domains = self.old, self.new
        # The domain of a sampler whose ids have no order will do: it has the same attributes.
        if not all(hasattr(domain, "cardinality") for domain in domains):
            kinds = [type(domain).__name__ for domain in domains]
            raise PopSamplerError(
                f"Expected old and new to be the IdDomain of each fit. Received: {kinds}. "
                "Pass IdDomain(min_id, max_id), the first and the last id that stand for an item."
            )
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

    def __reduce__(self) -> Any:
        # NumPy forgets that an array is read-only, so a copy is constructed anew.
        return type(self), (self.new_ids, self.old, self.new)

    @cached_property
    def old_ids(self) -> Ints:
        """The old id of each new id, int64 `[new.cardinality]`; -1 if the earlier fit had none."""
        before = np.full(self.new.cardinality, -1)
        known = np.flatnonzero(self.new_ids >= 0)
        before[self.new_ids[known]] = known
        before.setflags(write=False)
        return before

    @cached_property
    def kept_ids(self) -> Ints:
        """The new ids that have an old id, reserved ids among them: int64, ascending."""
        return np.flatnonzero(self.old_ids >= 0)

    @cached_property
    def added_ids(self) -> Ints:
        """The new ids that have no old id: int64, ascending."""
        return np.flatnonzero(self.old_ids < 0)

    @property
    def moved(self) -> "MovedRows":
        """The numbers of rows that a table with one row per id keeps, gains and loses."""
        stay = int(np.count_nonzero(self.new_ids >= 0))
        return MovedRows(stay, self.new.cardinality - stay, self.old.cardinality - stay)

    def averaged(self, new_items: str) -> Ints:
        """Returns the old ids whose rows are averaged to initialize the rows of new items.

        Args:
          new_items: "mean" for the items of both fits, or "out of vocabulary" for the ids of
            unknown keys.

        Returns:
          int64 `[n]`, at least one id.

        Raises:
          PopSamplerError: `new_items` is another name, or the earlier fit has no such ids.
        """
        if new_items not in (MEAN, OUT_OF_VOCABULARY):
            raise PopSamplerError(
                f"Expected {MEAN!r} or {OUT_OF_VOCABULARY!r}. Received: {new_items!r}. These are "
                "the means of old rows that warm_start can take."
            )
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
    """Tests whether an id other than -1 occurs twice."""
    seen = np.zeros(cardinality + 1, bool)
    seen[ids] = True  # -1 sets the additional last element
    return np.count_nonzero(seen[:-1]) < np.count_nonzero(ids >= 0)


class MovedRows(NamedTuple):
    """Counts the rows of a table that a warm start keeps, adds and drops.

    Attributes:
      kept: rows whose id is in both fits, at the same or another place; includes reserved ids.
      added: rows of ids that only the later fit has.
      gone: rows of ids that only the earlier fit has.
    """

    kept: int
    added: int
    gone: int


class WarmStart(NamedTuple):
    """Reports what `warm_start` did with each weight of the new model.

    Attributes:
      tables: by name of a table, the numbers of rows that were moved by an `IdMap`.
      copied: names of the weights that were copied unchanged.
      left: names of the weights that were not written, since their `IdMap` is None.
      slots: by name of a table, the names of its optimizer slots whose rows were moved.
    """

    tables: Dict[str, MovedRows]
    copied: List[str]
    left: List[str]
    slots: Dict[str, List[str]]


IdMaps = Mapping[str, Union[IdMap, None]]


def checked_id_maps(id_maps: Any) -> Dict[str, Any]:
    """Returns the id maps by name of their table; the name "" stands for the only table.

    Args:
      id_maps: one `IdMap`, or a mapping of names to an `IdMap` or None.

    Raises:
      PopSamplerError: the argument is neither.
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
            "Name each table that has a row for each id."
        )
    return dict(id_maps)


def checked_new_items(new_items: Any) -> Any:
    """Returns `new_items` if it is one of `NEW_ITEMS` or a callable object, as initializers are.

    Raises:
      PopSamplerError: the argument is neither.
    """
    if (isinstance(new_items, str) and new_items in NEW_ITEMS) or (
        callable(new_items) and not isinstance(new_items, type)
    ):
        return new_items
    raise PopSamplerError(
        f"Expected new_items in {NEW_ITEMS}, or an initializer. "
        f"Received: {truncate_repr(new_items)}. "
        "Take 'mean' for the mean of the rows that both fits have."
    )


def check_rows(name: str, shapes: Tuple[Any, Any], id_map: IdMap) -> None:
    """Checks that the tables of the old and the new model have the shapes that an id map needs.

    Args:
      name: name of the table, for the message.
      shapes: shape of the old table and shape of the new one; the first dimension is the rows.
      id_map: map from the ids of the old table to those of the new one.

    Raises:
      PopSamplerError: a table has fewer than `max_id + 1` rows, or the widths differ.
    """
    old, new = shapes
    rows = id_map.old.cardinality, id_map.new.cardinality
    fine = old and new and old[1:] == new[1:] and old[0] >= rows[0] and new[0] >= rows[1]
    if not fine:
        raise PopSamplerError(
            f"Table {name!r}: expected {rows[0]} rows or more before and {rows[1]} or more now, "
            f"max_id + 1 of each fit, and one width. Received: shapes {list(old)} and {list(new)}. "
            "Make each model for the schema of its own fit, and pass the id_map of these fits by "
            "the name of its table."
        )


def check_same_shape(name: str, shapes: Tuple[Any, Any], id_maps: Mapping[str, Any]) -> None:
    """Checks that a weight without an id map can be copied unchanged.

    Args:
      name: name of the weight, for the message.
      shapes: shape of the old weight and shape of the new one.
      id_maps: id maps of all tables, by name.

    Raises:
      PopSamplerError: the shapes differ, or a dimension is `max_id + 1` of both fits, so that the
        weight probably has a row for each id and needs an id map.
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
            "Add its name to the id maps, with None if it stays as the new model has it. If it has "
            "this size by chance, pass None, and copy it yourself."
        )
