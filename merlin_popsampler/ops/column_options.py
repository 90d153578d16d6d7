"""Checks and looks up those options of Categorify that may differ by column."""

from typing import Any, Dict, Sequence, Tuple

from merlin_popsampler.core.checks import whole_number
from merlin_popsampler.errors import PopSamplerError

from .keys.columns import KeyGroup

DEFAULTS: Dict[str, Any] = {
    "num_buckets": None,
    "max_size": 0,
    "freq_threshold": 0,
    "split_out": 1,
    "split_every": 8,
}


_LEAST = {"num_buckets": 1, "max_size": 0, "freq_threshold": 0, "split_out": 1, "split_every": 1}
"""Smallest value of each option; all are whole numbers."""

CHANGES_IDS = ("num_buckets", "freq_threshold", "max_size")
"""The options that change ids, unlike those that divide the work of a fit."""


def checked_option(option: str, value: Any) -> Any:
    """Checks an option's value, or its values by column.

    Args:
      option: name of the option, one of `DEFAULTS`.
      value: a whole number, None for the default, or a dict of these by column.

    Returns:
      The value, or the dict, with Python integers.

    Raises:
      PopSamplerError: a value is not a whole number, or is too small.
    """
    if isinstance(value, dict):
        return {column: _checked(option, value[column], f" of {column!r}") for column in value}
    return _checked(option, value)


def _checked(option: str, value: Any, of_column: str = "") -> Any:
    if value is None:
        return None
    advice = f"Leave it out for the default, {DEFAULTS[option]}."
    return whole_number(option + of_column, value, _LEAST[option], advice)


class PerColumn(Dict[str, Any]):
    """Maps columns to values of an option; a column that is not named has the default."""

    def __init__(self, named: Dict[str, Any], default: Any) -> None:
        super().__init__(named)
        self.default = default

    def __missing__(self, column: str) -> Any:
        return self.default

    def __reduce__(self) -> Tuple[Any, ...]:
        return (PerColumn, (dict(self), self.default))


def check_names(operator: Any, groups: Sequence[KeyGroup]) -> None:
    """Checks that names in options by column are those of columns, and not misspelt.

    An operator may share its dict with another operator, so a name that it does not have is an
    error only if the dict lacks one of its own columns. Categorify requires all of these.

    Args:
      operator: the operator, whose attributes are the options.
      groups: the vocabularies of all columns of the operator.

    Raises:
      PopSamplerError: a dict has a name of no column, and lacks a column.
    """
    known = {name for group in groups for name in _names(group)}
    for option in CHANGES_IDS:
        named = getattr(operator, option)
        if not isinstance(named, dict):
            continue
        unknown = [name for name in named if name not in known]
        missing = [group.name for group in groups if not named.keys() & set(_names(group))]
        if unknown and missing:
            raise PopSamplerError(
                f"Expected {option} by column, with names of this operator's columns. Received: "
                f"{unknown}, which it does not have, and no value for {missing}. Correct the "
                "names, or give these columns None, which is the default."
            )


def option_of(operator: Any, option: str, group: KeyGroup) -> Any:
    """Returns the value of an operator's option for one vocabulary.

    Args:
      operator: the operator, whose attribute is the option: one value, or a dict by name.
      option: name of the attribute, one of `DEFAULTS`.
      group: the vocabulary. The dict may have its name, which is decisive, or that of a column that
        is encoded jointly.

    Raises:
      PopSamplerError: the columns of one vocabulary have different values.
    """
    value = getattr(operator, option)
    if isinstance(value, dict):
        names = (group.name,) if group.name in value else _names(group)
        named = {value[name] for name in names if name in value}
        if len(named) > 1:
            raise PopSamplerError(
                f"Columns {list(group.columns)}: expected one {option} for their one vocabulary. "
                f"Received: {sorted(named, key=str)}. Give it under the group's name, "
                f"{group.name!r}."
            )
        value = named.pop() if named else None
    return DEFAULTS[option] if value is None else value


def _names(group: KeyGroup) -> Tuple[str, ...]:
    """Returns the names by which an option may call a vocabulary."""
    return (group.name, *group.columns) if group.joint else (group.name,)
