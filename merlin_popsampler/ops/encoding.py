"""Encodes the keys of one partition as the ids of a vocabulary."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from merlin.core import dispatch

from merlin_popsampler.core.domain import FIRST_OOV_ID, NULL_ID

from .keys.arrays import hash_buckets
from .keys.columns import (
    KeyGroup,
    all_null,
    as_lists,
    can_be_null,
    distinct_objects,
    elements,
    filled,
    is_list,
    missing,
    plain_columns,
    without,
)
from .keys.kinds import KeyType, cast
from .lookup import index_of, positions
from .vocabulary import Vocabulary

_FEW = 8
"""Number of keys up to which they are found faster one by one than as an array."""
_PLAIN: Dict[Optional[KeyType], type] = {
    KeyType("string", "object"): str,
    KeyType("number", "int64"): int,
}
"""Python types of keys that need not be converted."""


def encode(df: Any, group: KeyGroup, columns: Any, vocabulary: Vocabulary, dtype: Any) -> Any:
    """Encodes the keys of a data frame's rows as ids.

    Args:
      df: pandas or cuDF frame with any index; it may be empty.
      group: the group of columns that share the vocabulary.
      columns: the column to encode, or all columns that are combined to one key.
      vocabulary: the fitted vocabulary.
      dtype: integer dtype of the ids.

    Returns:
      Ids in the order of the rows, an array or a series that can be assigned to a column. A column
      of lists gets lists of ids, also if Merlin converted a server's array `[rows, 1]` to lists of
      one key. Nulls become 1, and unknown keys become `2 + hash % num_buckets`.

    Raises:
      PopSamplerError: a column holds lists of several keys, but held single keys in the fit; or its
        keys have another type than in the fit.
    """
    rows = plain_columns(df, columns)
    fitted = _fitted_lists(columns, vocabulary)
    if fitted == [False] and len(rows[0]) <= _FEW:
        known = _known_positions(rows[0], group, vocabulary)
        if known is not None:
            return vocabulary.metadata.domain.id(np.array(known)).astype(dtype)
    lists = all(bool(is_list(column, of)) for column, of in zip(rows, fitted))
    keys, _, repeated = distinct_objects([elements(column, lists) for column in rows])
    ids = repeated(_ids(keys, group, vocabulary, dtype))
    return as_lists(rows[0], ids, dtype) if lists else ids


def _known_positions(column: Any, group: KeyGroup, vocabulary: Vocabulary) -> Optional[List[int]]:
    """Looks a few single keys up one by one, in less time than an array of them takes.

    Returns:
      Their positions; None if one is unknown or null, or needs to be converted.
    """
    plain = _PLAIN.get(vocabulary.kinds[0])
    if plain is None or not dispatch.is_cpu_object(column):
        return None
    keys = column.tolist()
    index = index_of(vocabulary, group.keys) if set(map(type, keys)) == {plain} else None
    try:
        return None if index is None else [index.position(key) for key in keys]
    except (KeyError, UnicodeEncodeError):
        return None


def _fitted_lists(columns: Sequence[str], vocabulary: Vocabulary) -> List[Optional[bool]]:
    """Returns whether each column held lists in the fit; combined columns never do."""
    combined = len(columns) > 1
    return [False if combined else vocabulary.is_list.get(column) for column in columns]


def _ids(keys: Sequence[Any], group: KeyGroup, vocabulary: Vocabulary, dtype: Any) -> Any:
    """Encodes keys, one series for each key column; a row of nulls gets the id of nulls."""
    if not len(keys[0]):
        return _full(0, NULL_ID, keys[0]).astype(dtype)
    null = _null_rows(keys, group)
    if null is None:
        return _lookup(keys, group, vocabulary).astype(dtype, copy=False)
    known = ~null
    ids = _full(len(null), NULL_ID, keys[0]).astype(dtype)
    if bool(known.any()):
        ids[known] = _lookup([part[~null] for part in keys], group, vocabulary)
    return ids


def _null_rows(keys: Sequence[Any], group: KeyGroup) -> Any:
    """Tests which rows are null, bool `[rows]`; None if there are none."""
    if not all(map(can_be_null, keys)):
        return None
    null = all_null([missing(part, key) for part, key in zip(keys, group.keys)])
    return null if bool(null.any()) else None


def _lookup(keys: Sequence[Any], group: KeyGroup, vocabulary: Vocabulary) -> Any:
    """Encodes rows of keys, each of which has a key in at least one column."""
    possible: Optional[Any] = None
    convert = cast if len(keys) == 1 else _cast_part
    plain = []
    for part, key, kind in zip(keys, group.keys, vocabulary.kinds):
        values, exact = convert(part, kind, key)
        plain.append(values)
        if exact is not None:
            possible = exact if possible is None else possible & exact
    domain = vocabulary.metadata.domain
    if domain.size:
        found_at = positions(plain, vocabulary, group.keys)
    else:
        found_at = _full(len(keys[0]), -1, keys[0])
    ids = domain.id(found_at)
    unknown = found_at < 0
    if possible is not None:
        unknown |= ~possible.values
    if bool(unknown.any()):
        ids[unknown] = FIRST_OOV_ID
        num_buckets = domain.min_id - FIRST_OOV_ID
        if num_buckets > 1:
            buckets = hash_buckets([part[unknown] for part in plain], num_buckets)
            ids[unknown] += buckets.astype("int64")
    return ids


def _cast_part(keys: Any, kind: Optional[KeyType], column: str) -> Tuple[Any, Any]:
    """Casts one of several combined columns, which may contain nulls; see `cast`."""
    null = keys.isna()
    if kind is None:  # this column of the vocabulary contains only nulls
        return without(keys.astype(object), ~null), null
    if bool(null.all()):
        values, exact = type(keys)(_full(len(keys), 0, keys)).astype(kind.dtype), ~null
    else:
        values, exact = cast(filled(keys, null), kind, column)
        exact = ~null if exact is None else exact & ~null
    return (without(values, null), exact | null) if kind.holds_nulls else (values, exact)


def _full(size: int, value: int, like: Any) -> Any:
    """Builds an int64 array of one value, in the library of `like`.

    Without cuDF, Merlin's dispatch has no such function.
    """
    return dispatch.arange(size, like_df=like, dtype="int64") * 0 + value
