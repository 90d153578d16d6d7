"""Rows of categorical columns as keys: one a row, one a list element, or one a combination."""

import itertools
import operator
from dataclasses import dataclass
from functools import reduce
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
import pandas as pd
from merlin.core import dispatch

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


def is_list(series: Any, of_column: Optional[bool] = None) -> Optional[bool]:
    """Whether the rows of a column are lists; None where rows are missing or null, so none says.

    Args:
      series: the column, or a part of it.
      of_column: what is known of the whole column; None for nothing.

    Raises:
      PopSamplerError: lists in a column of single keys, or single keys in a column of lists.
    """
    found = _shown_lists(series)
    if found is None or of_column is None:
        return of_column if found is None else found
    if found != of_column:
        raise lists_and_keys(series.name)
    return found


def lists_and_keys(column: Any) -> PopSamplerError:
    """The error for a column of both."""
    return PopSamplerError(
        f"Column {column!r}: expected lists in all of its rows, or in none. Received: lists and "
        "single keys. Make lists of the single keys, or explode the lists."
    )


def combined_lists(group: KeyGroup) -> PopSamplerError:
    """The error for lists in a combination, whose elements have no partners."""
    return PopSamplerError(
        f"Columns {list(group.columns)}: expected single keys in columns that are combined. "
        "Received: lists. Explode the lists, or encode each column by itself."
    )


def elements(series: Any, lists: bool) -> Any:
    """One value per row, or per list element; a null list holds none. The index is new.

    Args:
      series: a column or a part of it.
      lists: whether the column holds lists.

    Raises:
      PopSamplerError: rows that are no lists where others are.
    """
    if not lists:
        return series.reset_index(drop=True)
    rows = series.dropna()
    if not dispatch.is_cpu_object(series):
        return rows.list.leaves.reset_index(drop=True)
    if not set(map(type, rows.values)) <= {list, np.ndarray}:
        raise lists_and_keys(series.name)
    return _flat(rows.tolist())


def all_null(missing: Sequence[Any]) -> Any:
    """Whether every key of a row is missing, from bool series, one for each key column."""
    return reduce(operator.and_, missing)


def _flat(rows: List[Any]) -> pd.Series:
    """Elements of pandas' rows, as objects where one dtype might change some of them."""
    dtypes = {row.dtype if isinstance(row, np.ndarray) else None for row in rows}
    if len(dtypes) == 1 and None not in dtypes:
        return pd.Series(np.concatenate(rows))
    return pd.Series(list(itertools.chain.from_iterable(rows)), dtype=object)


def _shown_lists(series: Any) -> Optional[bool]:
    """What the first row that is not null shows; a GPU's column says it by its dtype."""
    if hasattr(series, "list"):
        return True
    first = series.iloc[:1]
    if not len(first) or bool(first.isna().all()):
        first = series.dropna().iloc[:1]
    if not len(first):
        return None
    return first.dtype == object and isinstance(first.iloc[0], (list, np.ndarray))
