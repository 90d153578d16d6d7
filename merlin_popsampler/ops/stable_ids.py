"""Keeps the ids of keys that an earlier fit contains, for `FrequencyCategorify(base=...)`."""

from dataclasses import dataclass
from typing import Iterable, Iterator, Optional, Sequence, Tuple

import numpy as np
import pandas as pd
import pyarrow as pa

from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.store import artifact
from merlin_popsampler.store.fit_sources import Fits
from merlin_popsampler.store.key_match import positions
from merlin_popsampler.store.keyed_ids import SEVERAL_FITS, KeyedIds

from .counting import Counts, canonical_part, joined
from .keys.arrays import to_arrow
from .keys.columns import KeyGroup
from .keys.kinds import KeyType, canonical, merged
from .keys.strings import one_chunk

STABLE = "stable_ids"
"""Property of a column whose ids keep their numbers. The schema has it even before the fit."""
_ROWS = 2**20
"""Number of keys that are converted to Python objects at a time."""

Kinds = Tuple[Optional[KeyType], ...]


@dataclass(frozen=True)
class Matched:
    """Divides counted keys into those that the base contains, and new ones.

    Args:
      positions: int64 `[known keys]`, positions of the known keys in the base.
      sizes: int64 `[known keys]`, occurrences of the known keys.
      new: the new keys, in the order in which they were counted.
    """

    positions: Ints
    sizes: Ints
    new: Counts


def base_of(fits: Fits, group: KeyGroup, min_id: int) -> KeyedIds:
    """Returns the ids and keys of the earlier fit of a vocabulary.

    Args:
      fits: fits of the base by name of the vocabulary.
      group: the group of columns that share the vocabulary.
      min_id: first id that stands for a key in the new fit.

    Raises:
      PopSamplerError: the base does not have exactly one fit of this vocabulary,
        FrequencyCategorify did not assign its ids, or it reserves another number of ids.
    """
    found = fits.get(group.name, [])
    if len(found) != 1:
        raise PopSamplerError(
            f"Column {group.name!r}: expected one fit of it in base. Received: {len(found)}, among "
            f"fits of {sorted(fits)}. Pass the fit of the same columns, or encode this column by "
            "an operator of its own." + (SEVERAL_FITS if found else "")
        )
    encoder, last = found[0].encoder, found[0].last
    if encoder is None or last is None or artifact.MAP in last.files:
        raise PopSamplerError(
            f"Column {group.name!r}: expected a base whose ids FrequencyCategorify gave. Received: "
            "ids of another encoder, or ids that FrequencyOrder renumbered. Fit "
            "FrequencyCategorify without base first; id_map and warm_start move a model to it."
        )
    domain = encoder.metadata.domain
    if domain.min_id != min_id:
        raise PopSamplerError(
            f"Column {group.name!r}: expected num_buckets as in base, whose keys begin with id "
            f"{domain.min_id}. Received: a first id of {min_id}. Pass the num_buckets of base."
        )
    return KeyedIds(found[0], domain)


def common_kinds(kinds: Kinds, base: KeyedIds, group: KeyGroup) -> Kinds:
    """Returns the key types that hold the counted keys and those of the base.

    Args:
      kinds: types of the counted keys, for each key column.
      base: the earlier fit.
      group: the group of columns that was counted.

    Raises:
      PopSamplerError: the keys differ from those of the base in their family of types, or in their
        number of columns.
    """
    blocks = _counts(base, 0, base.domain.size, kinds, group)
    earlier = {block.kinds for block in blocks if len(block)}
    by_column = zip(group.keys, zip(kinds, *earlier))
    found = [(of_column, _common_kind(of_column, column)) for column, of_column in by_column]
    nulls = len(kinds) > 1  # a single column of keys contains no nulls
    return tuple(
        kind.with_nulls() if kind is not None and nulls and None in of_column else kind
        for of_column, kind in found
    )


def _common_kind(kinds: Kinds, column: str) -> Optional[KeyType]:
    """Returns the type that holds all keys of a column.

    Args:
      kinds: type of the counted keys, then the types of the keys of the base.
      column: name of the column, for the message.
    """
    for kind in kinds[1:]:
        if kind is not None and kinds[0] is not None and kind.family != kinds[0].family:
            raise PopSamplerError(
                f"Column {column!r}: expected keys of base's type, {kind.family}. Received: "
                f"{kinds[0].family}. Convert the column to that type, or leave out base."
            )
    return merged(kinds, column)


def match(counts: Counts, kinds: Kinds, base: KeyedIds, group: KeyGroup) -> Matched:
    """Finds counted keys in the base.

    Args:
      counts: the counted keys.
      kinds: types to which new keys are converted, the result of `common_kinds`.
      base: the earlier fit.
      group: the group of columns that was counted.
    """
    asked = pa.table(list(counts.keys), group.keys)
    at = np.full(len(counts), -1)
    for ids, known in base.parts():
        missing = np.flatnonzero(at < 0)
        found = positions(asked.take(missing), known, group.name)
        held = found >= 0
        at[missing[held]] = base.domain.rank(ids[found[held]])
    new = counts.take(np.flatnonzero(at < 0))
    keys, sizes = joined([new], kinds, group.keys)
    return Matched(at[at >= 0], counts.sizes[at >= 0], Counts(keys, sizes, kinds, counts.rows))


def sizes_of(matched: Iterable[Matched], base: KeyedIds) -> Ints:
    """Returns the occurrences of each key of the base, int64 `[keys]`; 0 if it no longer occurs."""
    sizes = np.zeros(base.domain.size, np.int64)
    for part in matched:
        sizes[part.positions] = part.sizes
    return sizes


def earlier_keys(
    base: KeyedIds, start: int, stop: int, kinds: Kinds, group: KeyGroup
) -> Sequence[pa.Array]:
    """Returns some keys of the base, an Arrow array for each key column.

    Args:
      base: the earlier fit.
      start: position of the first key.
      stop: end of the positions, exclusive.
      kinds: types of the keys, the result of `common_kinds`.
      group: the group of columns that share the vocabulary.
    """
    return joined(list(_counts(base, start, stop, kinds, group)), kinds, group.keys)[0]


def _counts(
    base: KeyedIds, start: int, stop: int, kinds: Kinds, group: KeyGroup
) -> Iterator[Counts]:
    """Reads keys of the base, block by block, as `Counts` in which each key occurs 0 times."""
    yield _uncounted(pa.table([pa.nulls(0)] * len(kinds), group.keys), kinds, group)
    for ids, keys in base.parts():
        first, end = np.searchsorted(base.domain.rank(ids), [start, stop])
        for row in range(first, end, _ROWS):
            yield _uncounted(keys.slice(row, min(_ROWS, end - row)), kinds, group)


def _uncounted(keys: pa.Table, kinds: Kinds, group: KeyGroup) -> Counts:
    """Converts stored keys to `Counts` in which each key occurs 0 times."""
    if keys.num_columns != len(kinds):
        raise PopSamplerError(
            f"Column {group.name!r}: expected a base of the key columns {group.keys}. Received: "
            f"{keys.column_names}. Pass the fit of the same columns, in the same encode_type."
        )
    convert = canonical if len(kinds) == 1 else canonical_part
    arrays, found = [], []
    for part, kind, column in zip(keys.columns, kinds, group.keys):
        if kind is None or part.type != _stored_type(kind, column):
            values, own = convert(part.to_pandas(), column)
            arrays.append(to_arrow(values, own, column))
        else:  # already in the type of the new keys, so that no Python objects are needed
            own = kind.with_nulls() if part.null_count else kind
            arrays.append(one_chunk(part))
        found.append(own)
    return Counts(arrays, np.zeros(len(keys), np.int64), tuple(found), {})


def _stored_type(kind: KeyType, column: str) -> pa.DataType:
    """Returns the Arrow type in which keys are stored; null if it depends on their values."""
    return to_arrow(pd.Series([], dtype=kind.dtype), kind, column).type
