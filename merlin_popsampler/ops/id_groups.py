"""Which columns' ids are counted, and renumbered, together."""

import re
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from merlin.schema import ColumnSchema, Schema

from merlin_popsampler.contract.metadata import PROPERTY
from merlin_popsampler.errors import FrequencyOrderError, PopSamplerError

from .encoders import JOINT, Encoder
from .keys import KeyGroup


@dataclass(frozen=True)
class IdGroups:
    """Columns of one vocabulary, as their encoder or the user names them.

    Args:
      asked: groups that the user names; all other columns go by their encoder.
      encoders: by column, its encoder as the schema tells before the fit.
    """

    asked: Sequence[Tuple[str, ...]]
    encoders: Dict[str, Encoder] = field(default_factory=dict)

    def of(self, columns: Sequence[str]) -> List[KeyGroup]:
        """The groups of some columns, each column in one.

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
        """Of the column's group: what was asked for, or the vocabulary that it shares."""
        for group in self.asked:
            if column in group:
                return "_".join(group)
        encoder = self.encoders.get(column)
        sharing = [other for other in self.encoders.values() if other == encoder]
        return encoder.vocabulary if encoder and len(sharing) > 1 else column

    def reserved(self, group: KeyGroup) -> int:
        """Ids from 0 on that are no items."""
        known = [column for column in group.columns if column in self.encoders]
        return max((self.encoders[column].reserved for column in known), default=0)

    def check_paths(self, schema: Schema, fits: Mapping[str, Any]) -> None:
        """Whether the groups were right, from the schema after the fit.

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
        """Refuses a map for some columns of a joint vocabulary: the others would keep their ids."""
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
    """What the name of a vocabulary of stock Categorify, `a_b`, holds beyond these columns' names.

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
    """A pattern: the name between what may separate names."""
    return rf"(^|[\W_]){re.escape(name)}(?=[\W_]|$)"
