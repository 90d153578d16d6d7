"""Keys of categorical columns in one canonical form, whatever file, processor or partition they
come from, so that the same key is always counted and looked up as the same value.
"""

from dataclasses import dataclass
from typing import Any, List, Tuple

import numpy as np
from merlin.core import dispatch

from merlin_popsampler.core.domain import MAX_LEGAL_ID
from merlin_popsampler.errors import PopSamplerError


@dataclass(frozen=True)
class KeyGroup:
    """Columns that share one vocabulary.

    Args:
      name: the vocabulary's name in Categorify's files (its "storage name").
      columns: columns of the data frame.
      joint: whether the columns' keys are pooled; else a row's combination of keys is one key.
    """

    name: str
    columns: Tuple[str, ...]
    joint: bool

    @property
    def keys(self) -> List[str]:
        """Names of the vocabulary's key columns."""
        if self.joint or len(self.columns) == 1:
            return [self.name]
        return list(self.columns)


def is_list(series: Any) -> bool:
    """Whether the rows are lists, also where the first of them is null."""
    return bool(dispatch.is_list_dtype(series)) or (
        series.dtype == object and bool(dispatch.is_list_dtype(series.dropna()))
    )


def elements(series: Any) -> Any:
    """One value per row, or per list element; a null list holds none. The index is new."""
    if not is_list(series):
        return series.reset_index(drop=True)
    flat = dispatch.flatten_list_column_values(series.dropna())
    return flat.reset_index(drop=True).rename(series.name)


def canonical(series: Any, column: str) -> Any:
    """The keys as plain values: categories as what they stand for, whole floats as integers.

    A column of integers with nulls arrives as floats from some readers, and as integers from
    others; the answer is the same for both.

    Args:
      series: keys, which may hold nulls (whole floats stay floats then).
      column: name of the column, for messages.

    Raises:
      PopSamplerError: floats of 2**53 or more, where different integers have become one float.
    """
    series = _plain(series)
    if getattr(series.dtype, "kind", "O") != "f" or not len(series):
        return series
    if bool((series.abs() >= MAX_LEGAL_ID).any()):
        raise PopSamplerError(
            f"Column {column!r}: expected keys that floats hold exactly, below 2**53. Received: "
            f"{series.dtype} keys up to {series.abs().max():.17g}, where neighbouring integers "
            "have become one value (a reader makes floats of integers with nulls). Store the "
            "column as strings, or fill its nulls before it is read."
        )
    if bool(dispatch.series_has_nulls(series)) or not bool((series == series.round()).all()):
        return series
    return series.astype("int64")


def all_null(frame: Any) -> Any:
    """Whether every key of a row is null: a bool series of the frame's index."""
    null = frame[frame.columns[0]].isna()
    for key in frame.columns[1:]:
        null = null & frame[key].isna()
    return null


def _plain(series: Any) -> Any:
    """Without categories and without extension types, where no null stands in the way."""
    dtype = series.dtype
    if hasattr(dtype, "categories"):
        plain = dtype.categories.dtype
        if getattr(plain, "kind", "O") in "iu" and bool(dispatch.series_has_nulls(series)):
            plain = np.dtype("float64")
        return _plain(series.astype(plain))
    numpy_dtype = getattr(dtype, "numpy_dtype", None)
    if numpy_dtype is not None and not bool(dispatch.series_has_nulls(series)):
        return series.astype(numpy_dtype)
    if isinstance(dtype, np.dtype) or numpy_dtype is not None:
        return series
    return series.astype(object) if str(dtype).startswith("string") else series


def cast_keys(series: Any, dtype: Any, column: str) -> Tuple[Any, Any]:
    """Keys as a vocabulary's dtype, and which of them that dtype holds exactly.

    Args:
      series: canonical keys.
      dtype: dtype of the vocabulary's key column.
      column: name of the column, for messages.

    Returns:
      The keys of that dtype, and a bool array: False where the key cannot be in the vocabulary
      because its dtype does not hold it (2.5 among integers). None where all keys are exact.

    Raises:
      PopSamplerError: keys of another kind, such as words where the vocabulary holds numbers.
    """
    if series.dtype == dtype:
        return series, None
    from_number, to_number = (
        getattr(kind, "kind", "O") in "iufb" for kind in (series.dtype, dtype)
    )
    try:
        if from_number and to_number:
            filled = series.fillna(0)
            cast = filled.astype(dtype)
            return cast, ((cast.astype(filled.dtype) == filled) & series.notna()).values
        if from_number and len(series):
            raise TypeError
        return series.astype(dtype), None
    except (TypeError, ValueError):
        raise PopSamplerError(
            f"Column {column!r}: expected keys of the vocabulary's kind, {dtype}. "
            f"Received: {series.dtype}, such as {series.head(1).to_dict()}. "
            "Transform the kind of data that the workflow was fitted on."
        ) from None
