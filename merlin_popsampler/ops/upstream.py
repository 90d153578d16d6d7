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
"""Property of a column with a joint vocabulary: its name in the encoder, and those of all columns.

The property survives a renaming of the column, so that the original name stays known.
"""
UNLIMITED = 2**40
"""Count that no id reaches. Multiplied by a number of columns, it still fits 64 bits."""


@dataclass(frozen=True)
class Encoder:
    """Describes a column's encoder before it is fitted.

    Args:
      vocabulary: name of its vocabulary, which jointly encoded columns share. Without an encoder,
        the name of the column.
      reserved: number of reserved ids, from 0 on; 0 without an encoder.
      fitted_here: whether the same workflow fits the encoder, which then counts the rows that the
        next node receives.
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
      column: one of the columns that are counted together after the encoder.
      encoder: its encoder.
      columns: number of the columns that are counted together. Each may be a copy of one encoded
        column, so they multiply the count.

    Returns:
      int64 `[max_id + 1]`, for the ids from 0 on; None if the encoder's counts are not known.
      Padding has no limit in lists, since operators may pad them.
    """
    most: Optional[Ints] = None
    fields = column.properties.get(PROPERTY) or {}
    if encoder.fitted_here:
        most = _counts(column, encoder)
    elif fields.get("evidence") == "vocabulary":  # fitted on other rows: only the range applies
        most = np.full(int(fields["max_id"]) + 1, UNLIMITED)
    if most is not None and column.is_list:
        most = np.array(most)  # pandas 3 hands out arrays that refuse to be written to
        most[PADDING_ID] = UNLIMITED
    return None if most is None else most * columns


def last_id(column: ColumnSchema, encoder: Encoder, most: Optional[Ints], seen: int) -> int:
    """Returns the last id of the encoder, or the largest possible id if the encoder is not known.

    Args:
      column: schema of the column after the fit.
      encoder: encoder of the column.
      most: the result of `most_times`.
      seen: largest id that was counted in the fit.
    """
    if most is not None:
        return len(most) - 1
    largest = (column.properties.get("domain") or {}).get("max")
    return LARGEST_ID if not encoder.reserved or largest is None else max(int(largest), seen)


def check_unchanged(column: str, passed: Ints, most: Ints) -> None:
    """Raises an error for ids that the encoder cannot have produced.

    Args:
      column: name of the column, for the message.
      passed: int64 `[n]`, how often each id from 0 on was counted after the encoder.
      most: int64 `[m]`, how often each id may occur, the result of `most_times`. Ids from m on may
        not occur.

    Raises:
      FrequencyOrderError: an id was counted more often than it may occur.
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
    except FrequencyOrderError:  # a vocabulary that the user passed (`vocabs=`) has no counts
        return None
    return np.concatenate((_stock_reserved(column, encoder), sizes))


def _stock_reserved(column: ColumnSchema, encoder: Encoder) -> Ints:
    """Returns upper limits for the counts of Categorify's reserved ids, int64 `[reserved]`.

    Categorify's own counts are not exact for unknown keys.
    """
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
    """Groups columns that share one vocabulary, as the user or their encoder states.

    Args:
      asked: groups that the user passed. All other columns are grouped by their encoder.
      encoders: the encoder of each column, from the schema before the fit.
    """

    asked: Sequence[Tuple[str, ...]]
    encoders: Dict[str, Encoder] = field(default_factory=dict)

    def of(self, columns: Sequence[str]) -> List[KeyGroup]:
        """Returns the groups of some columns; each column is in exactly one group.

        Raises:
          PopSamplerError: a group that the user passed has another column, or one column twice.
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
        """Returns the name of a column's group.

        It consists of the column names of a group that the user passed, or is the name of the
        vocabulary if several columns share it. Otherwise it is the column's name.
        """
        for group in self.asked:
            if column in group:
                return "_".join(group)
        encoder = self.encoders.get(column)
        sharing = [other for other in self.encoders.values() if other == encoder]
        return encoder.vocabulary if encoder and len(sharing) > 1 else column

    def reserved(self, group: KeyGroup) -> int:
        """Returns the number of reserved ids of a group, from 0 on; 0 without an encoder."""
        known = [column for column in group.columns if column in self.encoders]
        return max((self.encoders[column].reserved for column in known), default=0)

    def check_paths(self, schema: Schema, fits: Mapping[str, Any]) -> None:
        """Checks with the schema after the fit that each group has one vocabulary and one map.

        Args:
          schema: schema of the columns after the fit.
          fits: results of the fit by name of the group.

        Raises:
          FrequencyOrderError: columns of one vocabulary are renumbered by two maps; only some
            columns of a vocabulary are renumbered; or two vocabularies of the same name were
            counted together.
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
    """Returns which columns of a stock Categorify's vocabulary are not in `names`, as one string.

    Its schema does not list the columns, so they are read from the vocabulary's name, such as
    `a_b`. If that does not contain the column's name, the column was renamed, and nothing is known.
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
