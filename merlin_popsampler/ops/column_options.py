"""Checks and looks up those options of Categorify that may differ by column."""

from typing import Any, Dict, Tuple

from merlin_popsampler.core.checks import whole_number
from merlin_popsampler.errors import PopSamplerError

DEFAULTS: Dict[str, Any] = {
    "num_buckets": None,
    "max_size": 0,
    "freq_threshold": 0,
    "split_out": 1,
    "split_every": 8,
}


_LEAST = {"num_buckets": 1, "max_size": 0, "freq_threshold": 0, "split_out": 1, "split_every": 1}
"""Smallest value of each option; all are whole numbers."""


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


def option_of(operator: Any, option: str, name: str, columns: Tuple[str, ...]) -> Any:
    """Returns the value of an operator's option for one vocabulary.

    Args:
      operator: the operator, whose attribute is the option: one value, or a dict by name.
      option: name of the attribute, one of `DEFAULTS`.
      name: name of the vocabulary.
      columns: columns of the vocabulary. The dict may have its name or that of a column.

    Raises:
      PopSamplerError: the columns of one vocabulary have different values.
    """
    value = getattr(operator, option)
    if isinstance(value, dict):
        named = {value[key] for key in (name, *columns) if key in value}
        if len(named) > 1:
            raise PopSamplerError(
                f"Columns {list(columns)}: expected one {option} for their one vocabulary. "
                f"Received: {sorted(named, key=str)}. Give it under the group's name, {name!r}."
            )
        value = named.pop() if named else None
    return DEFAULTS[option] if value is None else value
