"""Finds the positions of keys in a list of distinct keys, by hash tables that are built once."""

from typing import Any, List, Sequence, Union

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from merlin_popsampler.core.segments import Ints

from .strings import hash_of, hashes, one_chunk

_BYTES = pa.large_binary()
_TABLE_BYTES = 8 + 43
"""Largest memory of an integer in a pandas index: half of its hash table may be empty."""
_OBJECT_BYTES = 8 + 64
"""Additional memory of a date or a decimal, in Python and in pandas."""


class KeyIndex:
    """Finds the positions of keys, or of combined keys, in a list of distinct ones.

    Combined keys are looked up column by column. The position in the columns so far and the
    position of the next key form one integer, which is looked up in turn.

    The constructor makes one request, since pandas builds its hash tables at the first request.
    After that, any number of threads may read the index.

    Args:
      keys: Arrow table of the key columns, with distinct rows. Nulls occur only with several
        columns.
    """

    def __init__(self, keys: pa.Table) -> None:
        self._combined = keys.num_columns > 1
        self._columns = [_column(_distinct(part) if self._combined else part) for part in keys]
        self._pairs: List[pd.Index] = []
        frame = (keys if self._combined else keys.slice(0, 1)).to_pandas()
        parts = [frame[name] for name in frame.columns]
        positions = self._column_positions(0, parts[0])
        for number, part in enumerate(parts[1:], 1):
            pairs = self._paired(positions, number, part)
            self._pairs.append(pd.Index(pairs).unique())  # all pairs of the last column differ
            positions = _found(self._pairs[-1], pairs)

    def positions(self, keys: Sequence[pd.Series]) -> Ints:
        """Returns the position of each row in the list, int64; -1 for rows that are not in it.

        Args:
          keys: a series for each column of the list, in the dtype that pandas has for it.
        """
        positions = self._column_positions(0, keys[0])
        for number, pairs in enumerate(self._pairs, 1):
            positions = _found(pairs, self._paired(positions, number, keys[number]))
        return positions

    def position(self, key: Any) -> int:
        """Returns the position of one string or integer, in a list of one column of that type.

        Raises:
          KeyError: the list does not hold the key.
        """
        position: int = self._columns[0].get_loc(key)
        return position

    def _column_positions(self, number: int, keys: pd.Series) -> Ints:
        """Returns positions among a column's distinct keys; a null's is the number of these."""
        column = self._columns[number]
        if isinstance(column, _StringIndex):
            positions = column.positions(keys)
        else:
            positions = _found(column, _values(keys))
        if self._combined:
            positions[keys.isna().to_numpy()] = len(column)
        return positions

    def _paired(self, positions: Ints, number: int, keys: pd.Series) -> Ints:
        """Combines the positions so far with those in the next column; -1 if either is -1."""
        others = self._column_positions(number, keys)
        pairs = positions * (len(self._columns[number]) + 1) + others
        pairs[(positions < 0) | (others < 0)] = -1
        return pairs


def memory_of(keys: pa.Table) -> int:
    """Returns the largest memory, in bytes, that a `KeyIndex` of these keys takes."""
    memory: int = (2 * keys.num_columns - 1) * _TABLE_BYTES * keys.num_rows
    for part in keys:
        if not _is_plain(part.type):
            memory += part.nbytes if _is_string(part.type) else _OBJECT_BYTES * len(part)
    return memory


class _StringIndex:
    """Finds strings or bytes by their hashes, like a pandas index; the strings stay in Arrow."""

    def __init__(self, strings: pa.Array) -> None:
        self._strings = strings
        self._most = pc.max(pc.binary_length(strings)).as_py() or 0
        self._hashes = pd.Index(hashes(strings, self._most))

    def __len__(self) -> int:
        return len(self._hashes)

    @property
    def is_unique(self) -> bool:
        """Whether no two strings have the same hash."""
        return bool(self._hashes.is_unique)

    def positions(self, strings: pd.Series) -> Ints:
        asked = _in_bytes(strings)
        positions = _found(self._hashes, hashes(asked, self._most))
        held = self._strings.take(pa.array(positions, mask=positions < 0))
        if not held.equals(asked):
            same = pc.equal(held, asked).fill_null(False)
            positions[~same.to_numpy(zero_copy_only=False)] = -1
        return positions

    def get_loc(self, string: str) -> int:
        asked = string.encode()
        position: int = self._hashes.get_loc(hash_of(asked, self._most))
        if self._strings[position].as_py() != asked:
            raise KeyError(string)
        return position


def _column(keys: Any) -> Union[_StringIndex, pd.Index]:
    """Builds an index of distinct keys without nulls."""
    if _is_string(keys.type):
        index = _StringIndex(one_chunk(keys.cast(_BYTES)))
        if index.is_unique:
            return index
    values = _values(keys.to_pandas())
    return pd.Index(values, dtype=values.dtype)


def _values(keys: pd.Series) -> Any:
    """Converts keys to a NumPy array of numbers (also for bools and times) or of Python objects."""
    values = keys.array.asi8 if keys.dtype.kind in "mM" else keys.values
    return values.astype(np.int64) if values.dtype == bool else values


def _found(index: pd.Index, values: Any) -> Ints:
    """Returns the position of each value in an index, -1 for values that it does not hold."""
    # The checks of pandas' method take longer than to find a few keys, so its table is asked. Only
    # bools next to nulls, which are floats or objects, have another dtype than the index.
    same = values.dtype == index.dtype
    positions: Ints = (index._engine if same else index).get_indexer(values)  # noqa: SLF001
    return positions


def _in_bytes(strings: pd.Series) -> pa.Array:
    """Converts strings to their UTF-8, and keeps bytes."""
    try:
        found = pa.array(strings.values, _BYTES, from_pandas=True)
    except UnicodeEncodeError:  # half of a surrogate pair is not in a vocabulary
        found = pa.array(strings.str.encode("utf-8", "surrogatepass"), _BYTES, from_pandas=True)
    return one_chunk(found if found.type == _BYTES else found.cast(_BYTES))


def _distinct(keys: Any) -> Any:
    return pc.unique(keys.drop_null())


def _is_plain(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_primitive(kind)) and not (types.is_date(kind) or types.is_time(kind))


def _is_string(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_large_string(kind)
        or types.is_string(kind)
        or types.is_large_binary(kind)
        or types.is_binary(kind)
    )
