"""Keys of one partition to the ids of a vocabulary."""

from typing import Any, List, Optional, Tuple

from merlin.core import dispatch
from merlin.io.worker import get_worker_cache

from merlin_popsampler.core.domain import FIRST_OOV_ID, NULL_ID

from .fit_folder import UNIQUE
from .key_kinds import KeyKind, cast
from .keys import KeyGroup, all_null, filled, is_list, key_frame, without
from .vocabulary import Vocabulary, hash_buckets, read_keys

_ID = "id"
_ORDER = "order"


def encode(df: Any, group: KeyGroup, columns: Any, vocabulary: Vocabulary, dtype: Any) -> Any:
    """Ids of the keys of a data frame's rows.

    Args:
      df: pandas or cuDF frame, of any index, empty frames included.
      group: whose vocabulary it is.
      columns: the columns to encode together: one, or all of a combination.
      vocabulary: fitted, its files in place.
      dtype: integer dtype of the ids.

    Returns:
      Ids in the frame's row order, as something that a column can be assigned from; lists where
      the column holds lists. Nulls are 1, unknown keys `2 + hash % num_buckets`.
    """
    first = df[columns[0]]
    lists = bool(is_list(first, vocabulary.is_list.get(columns[0])))
    names = _key_names(group)
    keys = key_frame(df, columns, names, lists)
    ids = _full(len(keys), NULL_ID, df).astype(dtype)
    known = ~all_null([keys[name].isna() for name in names])
    if bool(known.any()):
        valid = keys[known].reset_index(drop=True)
        ids[known.values] = _lookup(valid, group, vocabulary).astype(dtype)
    return as_lists(first, ids, dtype) if lists else ids


def _lookup(keys: Any, group: KeyGroup, vocabulary: Vocabulary) -> Any:
    """Ids of keys of which none is null altogether."""
    names = list(keys.columns)
    possible: Optional[Any] = None
    for name, key, kind in zip(names, group.keys, vocabulary.kinds):
        convert = cast if len(names) == 1 else _cast_part
        keys[name], exact = convert(keys[name], kind, key)
        if exact is not None:
            possible = exact if possible is None else possible & exact
    num_buckets = vocabulary.metadata.min_id - FIRST_OOV_ID
    buckets = hash_buckets(keys, num_buckets) if num_buckets > 1 else 0
    unknown = _full(len(keys), FIRST_OOV_ID, keys) + buckets
    table = _table(vocabulary, group, keys)
    if not len(table):
        return unknown
    keys[_ORDER] = dispatch.arange(len(keys), like_df=keys)
    merged = keys.merge(table, on=names, how="left")
    if not merged[_ORDER].is_monotonic_increasing:
        merged = merged.sort_values(_ORDER)
    ids = merged[_ID].fillna(-1).astype("int64").values
    if possible is not None:
        ids[~possible.values] = -1
    ids[ids < 0] = unknown[ids < 0]
    return ids


def _cast_part(keys: Any, kind: Optional[KeyKind], column: str) -> Tuple[Any, Any]:
    """As `cast`, of a part of a combination, in which nulls may stand beside the keys."""
    null = keys.isna()
    if kind is None:  # the vocabulary knows nothing but nulls here
        return without(keys.astype(object), ~null), null
    if bool(null.all()):
        values, exact = type(keys)(_full(len(keys), 0, keys)).astype(kind.dtype), ~null
    else:
        values, exact = cast(filled(keys, null), kind, column)
        exact = ~null if exact is None else exact & ~null
    return (without(values, null), exact | null) if kind.holds_nulls else (values, exact)


def _key_names(group: KeyGroup) -> List[str]:
    """Names of key columns beside `_ID` and `_ORDER`, which columns of the data might bear."""
    return [f"key {place}" for place in range(len(group.keys))]


def _table(vocabulary: Vocabulary, group: KeyGroup, like: Any) -> Any:
    """Keys and their ids, read once per worker.

    It is found again by its content, so what was read from another place before is never mistaken
    for it.
    """
    name = (vocabulary.digest(UNIQUE), tuple(group.keys), type(like).__module__)
    with get_worker_cache("cats") as cache:
        if name not in cache:
            table = read_keys(vocabulary, group.keys, like)
            table.columns = _key_names(group)
            ranks = dispatch.arange(len(table), like_df=table, dtype="int64")
            table[_ID] = vocabulary.metadata.domain.id(ranks)
            cache[name] = table
        return cache[name]


def _full(size: int, value: int, like: Any) -> Any:
    """An int64 array of the library of `like` (dispatch has no such function without cuDF)."""
    return dispatch.arange(size, like_df=like, dtype="int64") * 0 + value


def as_lists(original: Any, ids: Any, dtype: Any) -> Any:
    """Ids of list elements in the lists of the original column; a null list becomes empty."""
    null = original.isna()
    if hasattr(original, "list"):
        return dispatch.encode_list_column(original, ids, dtype=dtype)
    if bool(null.any()):
        original = original.where(~null, None).map(lambda row: [] if row is None else row)
    encoded = dispatch.encode_list_column(original, ids, dtype=dtype)
    encoded.index = original.index
    return encoded
