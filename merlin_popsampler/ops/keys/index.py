"""Finds keys in a list of distinct keys, by hash tables that are built once."""

from typing import Any, List, Sequence, Union

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from merlin_popsampler.core.segments import Ints

_TABLE_BYTES = 8 + 43
"""What pandas takes for a whole number in an index, at most: half of its table may be empty."""
_OBJECT_BYTES = 8 + 64
"""What Python and pandas take for a date or a decimal, in addition."""
_CHUNK = 2**20
"""Strings that are Python's objects at a time, while they are hashed."""


class KeyIndex:
    """Finds keys, or combinations of keys, in a list of distinct ones.

    A combination is found column by column: its position in the columns before and the
    position of its next key are combined to one integer, which is looked up in turn.

    It is probed once while it is made, since pandas builds its tables at the first request; from
    then on it is only read, by any number of threads.

    Args:
      keys: Arrow table of the key columns, rows distinct; nulls only where there are several.
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
            self._pairs.append(pd.Index(pairs).unique())  # the last: of distinct rows, all
            positions = self._pairs[-1].get_indexer(pairs)
        if len(frame):  # one key twice: where all are asked for, pandas 3 answers without a table
            self.positions([part.iloc[[0, 0]] for part in parts])

    def positions(self, keys: Sequence[pd.Series]) -> Ints:
        """Returns the position of each row in the list, int64; -1 for rows that are not in it.

        Args:
          keys: a series for each column of the list, in the dtypes that pandas has for these.
        """
        positions = self._column_positions(0, keys[0])
        for number, pairs in enumerate(self._pairs, 1):
            positions = pairs.get_indexer(self._paired(positions, number, keys[number]))
        return positions

    def _column_positions(self, number: int, keys: pd.Series) -> Ints:
        """Returns positions among a column's distinct keys; that of a null comes after the last."""
        column = self._columns[number]
        positions: Ints = column.get_indexer(_values(keys))
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
    """Returns the bytes that an index of these keys takes at most."""
    memory: int = (2 * keys.num_columns - 1) * _TABLE_BYTES * keys.num_rows
    for part in keys:
        if not _is_plain(part.type):
            memory += part.nbytes if _is_string(part.type) else _OBJECT_BYTES * len(part)
    return memory


class _StringIndex:
    """Finds strings or bytes by their hashes, like a pandas index; the strings stay in Arrow."""

    def __init__(self, strings: pa.Array, hashes: pd.Index) -> None:
        self._strings = strings
        self._hashes = hashes

    def __len__(self) -> int:
        return len(self._hashes)

    def get_indexer(self, strings: pd.Index) -> Ints:
        asked = strings.to_numpy()
        positions: Ints = self._hashes.get_indexer(_hashes(asked))
        found = np.flatnonzero(positions >= 0)
        if len(found) < len(asked):
            asked = asked[found]
        asked = pa.array(asked, self._strings.type, from_pandas=True)
        same = pc.equal(self._strings.take(pa.array(positions[found])), asked)
        positions[found[~same.fill_null(False).to_numpy(zero_copy_only=False)]] = -1
        return positions


def _column(keys: Any) -> Union[_StringIndex, pd.Index]:
    """Builds an index of distinct keys without nulls."""
    if _is_string(keys.type):
        chunks = (keys.slice(start, _CHUNK) for start in range(0, len(keys), _CHUNK))
        found = [_hashes(chunk.to_pandas().to_numpy()) for chunk in chunks]
        hashes = pd.Index(np.concatenate([np.zeros(0, np.int64), *found]))
        if hashes.is_unique:
            return _StringIndex(_one_chunk(keys), hashes)
    return _values(keys.to_pandas())


def _values(keys: pd.Series) -> pd.Index:
    """Keys as what pandas compares them by: numbers, or Python's own objects."""
    values = keys.array.asi8 if keys.dtype.kind in "mM" else keys.to_numpy()
    return pd.Index(values, dtype=np.int64 if values.dtype == bool else values.dtype)


def _hashes(strings: Any) -> Ints:
    """Python's own, which the strings keep."""
    return np.fromiter(map(hash, strings), np.int64, len(strings))


def _distinct(keys: Any) -> Any:
    return pc.unique(keys.drop_null())


def _one_chunk(strings: Any) -> pa.Array:
    """Concatenates strings to one array, which may be larger than 2 GB."""
    text = pa.types.is_string(strings.type) or pa.types.is_large_string(strings.type)
    strings = strings.cast(pa.large_string() if text else pa.large_binary())
    return pa.concat_arrays(strings.chunks) if isinstance(strings, pa.ChunkedArray) else strings


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
