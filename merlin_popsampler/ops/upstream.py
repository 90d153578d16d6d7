"""Finds the encoder of a column's ids, and the columns that share its vocabulary.

Both are read from the schema, before and after the fit.
"""

import re
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from merlin.schema import ColumnSchema, Schema

from merlin_popsampler.contract.metadata import PROPERTY
from merlin_popsampler.contract.schema import reserved_ids
from merlin_popsampler.core.domain import NULL_ID, PADDING_ID
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import FrequencyOrderError, PopSamplerError
from merlin_popsampler.store import counts_file, filesystem, locations
from merlin_popsampler.store.stock_files import meta_beside, read_sizes

from .id_order import LARGEST_ID
from .keys.columns import KeyGroup

JOINT = "joint_vocabulary"
"""Property of a column with a joint vocabulary: its own name and all names, in the encoder.

It tells which of them a column is, after any renaming or derivation.
"""
UNLIMITED = 2**40
"""More often than any id occurs; as many columns as a frame has do not make it overflow."""


@dataclass(frozen=True)
class Encoder:
    """Describes a column's encoder before it is fitted.

    Args:
      vocabulary: name of its vocabulary, which jointly encoded columns share; the column's own
        where no encoder left properties.
      reserved: ids from 0 on that stand for no key; 0 where no encoder left properties.
      fitted_here: whether the workflow that is being fitted fits it, so that it counts the rows
        that the node after it sees.
    """

    vocabulary: str
    reserved: int
    fitted_here: bool


def encoder_of(column: ColumnSchema) -> Encoder:
    """Returns the encoder of an input column, from the schema before the fit."""
    reserved = reserved_ids(column)
    name = (column.properties.get("domain") or {}).get("name") if reserved else None
    cat_path = column.properties.get("cat_path")
    return Encoder(name or column.name, reserved, bool(reserved) and cat_path is None)


def most_times(column: ColumnSchema, encoder: Encoder, columns: int) -> Optional[Ints]:
    """Returns how often each id may occur after the encoder, from the schema after the fit.

    Args:
      column: one of the columns that are counted together there.
      encoder: its encoder.
      columns: how many these are: each may be a copy of one encoded column.

    Returns:
      int64 `[max_id + 1]`, for the ids from 0 on; None where nothing is known. Padding is
      unlimited in lists, which operators may pad.
    """
    most: Optional[Ints] = None
    fields = column.properties.get(PROPERTY) or {}
    if encoder.fitted_here:
        most = _counts(column, encoder)
    elif fields.get("evidence") == "vocabulary":  # of other rows: the range is all it tells
        most = np.full(int(fields["max_id"]) + 1, UNLIMITED)
    if most is not None and column.is_list:
        most = np.array(most)  # pandas 3 hands out arrays that refuse to be written to
        most[PADDING_ID] = UNLIMITED
    return None if most is None else most * columns


def last_id(column: ColumnSchema, encoder: Encoder, most: Optional[Ints], seen: int) -> int:
    """Returns the last id of the encoder, or the largest possible id if the encoder is not known.

    Args:
      column: its schema after the fit.
      encoder: its encoder.
      most: how often each id may pass, see `most_times`.
      seen: last id that passed in the fit.
    """
    if most is not None:
        return len(most) - 1
    largest = (column.properties.get("domain") or {}).get("max")
    return LARGEST_ID if not encoder.reserved or largest is None else max(int(largest), seen)


def check_unchanged(column: str, passed: Ints, most: Ints) -> None:
    """Raises an error for ids that the encoder cannot have produced.

    Args:
      column: its name, for the message.
      passed: how often each id from 0 on passed, int64 `[n]`.
      most: how often it may, int64 `[m]`; ids from m on never.

    Raises:
      FrequencyOrderError: an id passed more often.
    """
    over = np.flatnonzero(passed[: len(most)] > most[: len(passed)])
    if len(passed) > len(most):
        proof = f"id {len(passed) - 1}, where the encoder's last is {len(most) - 1}"
    elif len(over):
        proof = f"id {over[0]} {passed[over[0]]} times, of at most {most[over[0]]}"
    else:
        return
    raise FrequencyOrderError(
        f"Column {column!r}: expected each id at most as often as in its encoder's counts. "
        f"Received: {proof}. After the encoder, ids were changed, rows were repeated, or a "
        "partition was left without rows, for which Merlin hands on the raw column. Change keys "
        "and repeat rows before the encoder, and filter the data before the workflow."
    )


def _counts(column: ColumnSchema, encoder: Encoder) -> Optional[Ints]:
    """Reads the encoder's counts from the files of its vocabulary."""
    path = column.properties.get("cat_path")
    if path is None or not filesystem.exists(path):
        return None
    found = locations.fitted_at(path)
    if found is not None:  # FrequencyCategorify's
        return counts_file.read_counts(found)
    try:
        sizes = read_sizes(path, encoder.vocabulary, encoder.reserved)
    except FrequencyOrderError:  # a vocabulary that was given brings no counts
        return None
    return np.concatenate((_stock_reserved(column, encoder), sizes))


def _stock_reserved(column: ColumnSchema, encoder: Encoder) -> Ints:
    """Bounds the counts of Categorify's reserved ids, since it miscounts some unknown keys."""
    cut = column.properties.get("max_size") or column.properties.get("freq_threshold")
    most = np.full(encoder.reserved, UNLIMITED)
    most[PADDING_ID] = 0
    if not cut:  # all keys are known, but nulls in lists become unknown keys
        path = meta_beside(column.properties["cat_path"])
        meta = filesystem.read_table(path).set_index("kind")
        most[NULL_ID:] = int(meta.loc["null", "num_observed"])
    return most


@dataclass(frozen=True)
class IdGroups:
    """Groups the columns of one vocabulary, as their encoder or the user names them.

    Args:
      asked: groups that the user names; all other columns go by their encoder.
      encoders: by column, its encoder as the schema tells before the fit.
    """

    asked: Sequence[Tuple[str, ...]]
    encoders: Dict[str, Encoder] = field(default_factory=dict)

    def of(self, columns: Sequence[str]) -> List[KeyGroup]:
        """Returns the groups of some columns; each column is in one group.

        Raises:
          PopSamplerError: groups that were asked for of other columns, or with one twice.
        """
        members = [column for group in self.asked for column in group]
        missing = [column for column in members if column not in columns]
        if missing or len(set(members)) < len(members):
            raise PopSamplerError(
                f"Expected groups of the operator's columns {columns}, each column in one. "
                f"Received: groups={self.asked}. Name each jointly encoded column once."
            )
        shared: Dict[str, List[str]] = {}
        for column in columns:
            if column not in members:
                shared.setdefault(self.name_of(column), []).append(column)
        groups = [("_".join(group), group) for group in self.asked] + list(shared.items())
        return [KeyGroup(name, tuple(group), len(group) > 1) for name, group in groups]

    def name_of(self, column: str) -> str:
        """Returns the name of the column's group: the user's, or that of the shared vocabulary."""
        for group in self.asked:
            if column in group:
                return "_".join(group)
        encoder = self.encoders.get(column)
        sharing = [other for other in self.encoders.values() if other == encoder]
        return encoder.vocabulary if encoder and len(sharing) > 1 else column

    def reserved(self, group: KeyGroup) -> int:
        """Returns the number of reserved ids, from 0 on."""
        known = [column for column in group.columns if column in self.encoders]
        return max((self.encoders[column].reserved for column in known), default=0)

    def check_paths(self, schema: Schema, fits: Mapping[str, Any]) -> None:
        """Checks by the schema after the fit that the groups were right.

        Args:
          schema: of the columns.
          fits: by group, what was found.

        Raises:
          FrequencyOrderError: one vocabulary has two maps, or one for some of its columns, or two
            that bear one name were pooled.
        """
        asked = {column for group in self.asked for column in group}
        paths = {
            column.name: column.properties.get("cat_path")
            for column in schema
            if self.name_of(column.name) in fits
        }
        for one, other in combinations(paths, 2):
            names = {self.name_of(one), self.name_of(other)}
            same = paths[one] == paths[other]
            if len(names) == 1 and one not in asked and not same:
                raise FrequencyOrderError(
                    f"Columns {one!r}, {other!r}: expected one vocabulary, since both bear the "
                    f"name {names.pop()!r}. Received: {paths[one]} and {paths[other]}. Give each "
                    "branch a FrequencyOrder of its own."
                )
            mapped = any(fits[name].remaps for name in names)
            if len(names) == 2 and same and paths[one] is not None and mapped:
                raise FrequencyOrderError(
                    f"Columns {one!r}, {other!r}: expected one map for their one vocabulary, "
                    f"{paths[one]}. Received: a map for each. Pass groups=[[{one!r}, {other!r}]]."
                )
        for name in {self.name_of(column.name) for column in schema} & set(fits):
            if fits[name].remaps:
                self._check_whole([col for col in schema if self.name_of(col.name) == name])

    def _check_whole(self, columns: Sequence[ColumnSchema]) -> None:
        """Raises an error for a map of only some columns of a joint vocabulary."""
        names = [column.name for column in columns]
        shared = [column.properties[JOINT] for column in columns if JOINT in column.properties]
        advice = "or give each a vocabulary of its own"
        if shared:
            passed = [one["column"] for one in shared]
            missing = [repr(of) for one in shared for of in one["columns"] if of not in passed]
        else:
            alone = {group[0] for group in self.asked if len(group) == 1}
            stock = [
                column
                for column in columns
                if column.name not in alone and PROPERTY not in column.properties
            ]
            missing = [rest for column in stock for rest in _rest_of_name(column, names)]
            advice += f", or pass groups=[{names}] if no other column has this one"
        if missing:
            raise FrequencyOrderError(
                f"Columns {names}: expected all columns of their vocabulary, which get new ids "
                f"together. Received: no {' and no '.join(dict.fromkeys(missing))}, which would "
                "keep old ids under the same domain name. Pass all of them through this "
                f"FrequencyOrder, {advice}."
            )


def _rest_of_name(column: ColumnSchema, names: Sequence[str]) -> List[str]:
    """Removes column names from the name of a vocabulary of stock Categorify, such as `a_b`.

    Its schema does not list the columns. A vocabulary whose name does not hold the column's was
    encoded under another name, and may be of one column.
    """
    rest = str((column.properties.get("domain") or {}).get("name") or column.name)
    if not re.search(_part(column.name), rest):
        return []
    for name in sorted(names, key=len, reverse=True):
        rest = re.sub(_part(name), "", rest, count=1)
    rest = re.sub(r"^[\W_]+", "", rest)
    return [repr(rest)] if rest else []


def _part(name: str) -> str:
    """Returns a pattern for a name between separators."""
    return rf"(^|[\W_]){re.escape(name)}(?=[\W_]|$)"
