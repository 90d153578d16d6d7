"""Looks keys up in a vocabulary: by a cached index if it fits in memory, otherwise part by part."""

import io
import os
import threading
from functools import lru_cache
from typing import Any, Callable, Dict, Hashable, Iterator, Optional, Sequence, Tuple

import dask
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dask.utils import parse_bytes
from merlin.core import dispatch
from merlin.io.worker import get_worker_cache

from merlin_popsampler.core.checks import truncate_repr
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.store import artifact

from .keys.arrays import in_one_type
from .keys.index import KeyIndex
from .vocabulary import Vocabulary

BUDGET = "merlin_popsampler.index-memory"
"""Name of the dask setting that limits the memory of all indexes of a process together."""
DEFAULT_BUDGET = "2 GiB"


@lru_cache(maxsize=8)
def _bytes_of(budget: Any) -> int:
    try:
        size = int(parse_bytes(budget))
    except (AttributeError, TypeError, ValueError):
        size = -1
    if size < 0:
        raise PopSamplerError(
            f"Expected the dask setting {BUDGET!r} to be a number of bytes, 0 or more. Received: "
            f"{truncate_repr(budget)}. Set it to a size such as '8 GiB'. A worker reads it from "
            "DASK_MERLIN_POPSAMPLER__INDEX_MEMORY."
        )
    return size


class IndexCache:
    """Caches the indexes of this process, and removes the least recently used ones.

    It belongs to the process, and is not pickled with an operator. Threads wait for an index that
    another thread builds.
    """

    def __init__(self) -> None:
        self._held: Dict[Hashable, Tuple[KeyIndex, int]] = {}  # the most recently used last
        self._renew_lock()
        # A thread that holds the lock while the process forks does not exist in the child.
        os.register_at_fork(after_in_child=self._renew_lock)

    def get(self, name: Hashable, make: Callable[[], KeyIndex], cost: int, budget: int) -> KeyIndex:
        """Returns the index of a name, and builds it if it is not cached.

        Args:
          name: key of the cache, which determines the content of the index.
          make: function that builds the index.
          cost: size of the index in bytes.
          budget: largest size of all indexes together, in bytes.
        """
        with self._lock:
            if name not in self._held:
                while self._held and sum(held for _, held in self._held.values()) + cost > budget:
                    del self._held[next(iter(self._held))]
                self._held[name] = make(), cost
            self._held[name] = self._held.pop(name)
            return self._held[name][0]

    def clear(self) -> None:
        """Removes all indexes."""
        with self._lock:
            self._held.clear()

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()


INDEXES = IndexCache()
"""The cached indexes of this process."""


def positions(keys: Sequence[Any], vocabulary: Vocabulary, columns: Sequence[str]) -> Any:
    """Finds the position of each key in a vocabulary, from 0 on; -1 if it is not there.

    Args:
      keys: a pandas or cuDF series for each key column, of one length, in the dtypes of
        `vocabulary.kinds`. Each row has a key in at least one of them.
      vocabulary: the fitted vocabulary.
      columns: names of the vocabulary's key columns.

    Returns:
      int64 `[rows]`, as an array of NumPy or CuPy.

    Raises:
      PopSamplerError: a file of the vocabulary was changed, moved or removed.
    """
    if not dispatch.is_cpu_object(keys[0]):
        return joined(keys, vocabulary, columns)
    index = index_of(vocabulary, columns)
    if index is None:
        return part_by_part(keys, vocabulary, columns)
    return index.positions(keys)


def index_of(vocabulary: Vocabulary, columns: Sequence[str]) -> Optional[KeyIndex]:
    """Returns the index of a vocabulary's key columns; None if it does not fit in memory.

    Raises:
      PopSamplerError: see `positions`; or the setting of the memory is not a number of bytes.
    """
    budget = _bytes_of(dask.config.get(BUDGET, DEFAULT_BUDGET))
    if vocabulary.index_bytes > budget:
        return None
    return INDEXES.get(
        (tuple(vocabulary.files[artifact.UNIQUE].values()), *columns),
        lambda: KeyIndex(_whole(vocabulary, columns)),
        vocabulary.index_bytes,
        budget,
    )


def part_by_part(keys: Sequence[Any], vocabulary: Vocabulary, columns: Sequence[str]) -> Ints:
    """Computes `positions` with one part of the vocabulary in memory at a time.

    The parts are in frequency order, so most keys are found in the first ones.
    """
    found_at = np.full(len(keys[0]), -1)
    missing, first = np.arange(len(found_at)), 0
    for part in _parts(vocabulary, columns):
        found = KeyIndex(part).positions([column.iloc[missing] for column in keys])
        found_at[missing] = np.where(found < 0, -1, first + found)
        missing, first = missing[found < 0], first + len(part)
        if not len(missing):
            break
    return found_at


def joined(keys: Sequence[Any], vocabulary: Vocabulary, columns: Sequence[str]) -> Any:
    """Computes `positions` by a join with a table of all keys, since cuDF has no hash index."""
    # Neutral names, since a key column may be called "position" or "row".
    names = [f"key {number}" for number in range(len(keys))]
    name = (vocabulary.digest(artifact.UNIQUE), *columns, type(keys[0]).__module__)
    with get_worker_cache("cats") as cache:
        if name not in cache:
            reader = dispatch.read_dispatch(keys[0], fmt="parquet")
            parts = [reader(io.BytesIO(part)) for part in vocabulary.read(artifact.UNIQUE)]
            table = dispatch.concat(parts)[list(columns)].reset_index(drop=True)
            table.columns = names
            for key, part in zip(names, keys):
                if str(part.dtype) == "float64":  # as bools next to nulls are encoded
                    table[key] = table[key].astype("float64")
            table["position"] = dispatch.arange(len(table), like_df=table, dtype="int64")
            cache[name] = table
        table = cache[name]
    frame = type(table)(dict(zip(names, (part.reset_index(drop=True) for part in keys))))
    frame["row"] = dispatch.arange(len(frame), like_df=frame)
    merged = frame.merge(table, on=names, how="left")
    if not merged["row"].is_monotonic_increasing:
        merged = merged.sort_values("row")
    return merged["position"].fillna(-1).astype("int64").values


def _whole(vocabulary: Vocabulary, columns: Sequence[str]) -> pa.Table:
    """Reads all keys as one table.

    Parts may differ in Arrow's type: by the digits of decimals, or if all keys of a part are null.
    """
    parts = list(_parts(vocabulary, columns))
    keys = [
        in_one_type([part[name] for part in parts], [None] * len(parts), None, name)
        for name in columns
    ]
    tables = [pa.table(list(part), list(columns)) for part in zip(*keys)]
    return pa.concat_tables(tables)


def _parts(vocabulary: Vocabulary, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yields the key columns of each part of a vocabulary, in the order of the ids.

    Raises:
      PopSamplerError: the files are not those that were fitted.
    """
    for content in vocabulary.read(artifact.UNIQUE):
        yield pq.read_table(pa.BufferReader(content)).select(list(columns))
