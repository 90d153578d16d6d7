"""The new id of each id of an earlier fit, by the keys that both fits know."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterator, Optional, Tuple

import numpy as np

from merlin_popsampler.contract.schema import column_popularity, find_item_column
from merlin_popsampler.core.domain import FIRST_OOV_ID, IdDomain
from merlin_popsampler.core.id_map import IdMap
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import PopSamplerError

from . import artifact, filesystem
from .fit_history import FitHistory
from .fit_sources import Fits, read_source
from .key_match import positions
from .locations import fitted_at

if TYPE_CHECKING:
    import pyarrow as pa


def id_map(old: Any, new: Any, column: Optional[str] = None) -> IdMap:
    """The new id of each id of an earlier fit, by key.

    Padding keeps its id, and null does. Ids of unknown keys do too if both fits have as many;
    else they have no new id. Keys are compared by value: 2 and 2.0 are one key.

    Args:
      old: the earlier fit: a fitted workflow or operator; the path of a saved workflow, of an
        operator's `out_path` or of a data set; or a Schema, Dataset or Loader whose `cat_path` can
        be read.
      new: the later fit, as `old`.
      column: name of the column; None for the one that is tagged as item id, or for the only one
        of a folder.

    Returns:
      `new_ids`: int64 `[old max_id + 1]`, the new id of each old one, -1 where the item is gone.
      `old_ids`: int64 `[new max_id + 1]`, the inverse, -1 where the item is new.

    Raises:
      PopSamplerError: fits whose keys cannot be read, of different columns or kinds of keys.

    Examples:
      >>> ids = id_map("monday/workflow", "tuesday/workflow")
      >>> warm_start(new_model, old_model, {"item_id": ids})
    """
    before, now = _keyed(old, column), _keyed(new, column)
    new_ids = np.full(before.domain.cardinality, -1)
    shared = _reserved(before.domain.min_id, now.domain.min_id)
    new_ids[:shared] = np.arange(shared)
    for later_ids, known in now.parts():
        for every, keys in before.parts():
            missing = new_ids[every] < 0
            ids, asked = (every, keys) if missing.all() else (every[missing], keys.filter(missing))
            index = positions(asked, known, before.history.name)
            found = index >= 0
            if not found.all():
                ids, index = ids[found], index[found]
            new_ids[ids] = later_ids[index]
    return IdMap(new_ids, before.domain, now.domain)


@dataclass(frozen=True)
class KeyedIds:
    """The ids of a fit and their keys.

    Args:
      history: the fits that made them.
      domain: the ids that stand for an item.
    """

    history: FitHistory
    domain: IdDomain

    def parts(self) -> "Iterator[Tuple[Ints, pa.Table]]":
        """Ids int64 `[keys]` and their keys, part by part as the fit wrote them.

        Raises:
          PopSamplerError: files that are not those of the fit, or keys without ids.
        """
        old, new = self._renumbered()
        for encoded, keys in self._encoded():
            ids = encoded
            if len(new):
                mapped = (encoded >= old) & (encoded < old + len(new))
                ids = np.where(mapped, new[np.where(mapped, encoded - old, 0)], encoded)
            inside = self.domain.contains(ids)
            yield (ids, keys) if inside.all() else (ids[inside], keys.filter(inside))

    def _encoded(self) -> "Iterator[Tuple[Ints, pa.Table]]":
        """As `parts`, by the encoder's own ids."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        sizes = artifact.size_column(self.history.name)
        encoder = self.history.encoder
        if encoder is None:
            frame = filesystem.read_table(str(self.history.keys_path))
            if len(frame) and frame.index.min() == 0:
                raise _unreadable(self.history.keys_path, "keys that are numbered from 0")
            keys = frame.drop(columns=sizes, errors="ignore")
            yield frame.index.to_numpy(np.int64), pa.Table.from_pandas(keys, preserve_index=False)
            return
        first = encoder.metadata.min_id
        dtype = np.int32 if encoder.metadata.max_id < 2**31 else np.int64
        for content in encoder.read(artifact.UNIQUE):
            file = pq.ParquetFile(pa.BufferReader(content))
            keys = file.read([name for name in file.schema_arrow.names if name != sizes])
            del file, content  # as large as the keys, which are looked up meanwhile
            yield np.arange(first, first + len(keys), dtype=dtype), keys
            first += len(keys)

    def _renumbered(self) -> Tuple[int, Ints]:
        """The first of the encoder's ids that have another id now, and the ids that they have."""
        order = self.history.last
        if order is None or artifact.MAP not in order.files:
            return 0, np.zeros(0, np.int64)
        table = order.table(artifact.MAP)  # of consecutive ids
        return int(table["id"].iloc[0]), table["new_id"].to_numpy(np.int64)


def _reserved(before: int, now: int) -> int:
    """How many ids, from 0 on, stand for the same in both fits: padding, null, unknown keys."""
    return before if before == now else min(before, now, FIRST_OOV_ID)


def _keyed(source: Any, column: Optional[str]) -> KeyedIds:
    """The ids and keys of a fit, wherever it is.

    Raises:
      PopSamplerError: nothing there whose keys can be read.
    """
    where, schema, fits = read_source(source)
    if schema is None:
        return _only(fits, column, where)
    return _of_schema(schema, column, fits, where)


def _only(fits: Fits, column: Optional[str], where: str) -> KeyedIds:
    """The ids and keys of the one fit of a column."""
    names = [column] if column in fits else sorted(fits) if column is None else []
    if len(names) != 1 or len(fits[names[0]]) != 1:
        raise _unreadable(where, f"column={column!r}, and fits of {sorted(fits)}")
    return _complete(fits[names[0]][0], where)


def _of_schema(schema: Any, column: Optional[str], fits: Fits, where: str) -> KeyedIds:
    """The ids of a column, and the keys at its `cat_path`, or those of the workflow's fits."""
    found = find_item_column(schema, column)
    domain, path = column_popularity(found).domain, found.properties.get("cat_path")
    name = (found.properties.get("domain") or {}).get("name", found.name)
    if path and filesystem.exists(str(path)):
        encoder = fitted_at(filesystem.absolute(str(path)))
        return KeyedIds(FitHistory(name, None, encoder, str(path)), domain)
    histories_of_name = fits.get(name) or fits.get(found.name) or []
    if len(histories_of_name) != 1:
        raise _unreadable(where, f"cat_path {path!r} of column {found.name!r}")
    return _complete(histories_of_name[0], where)


def _complete(history: FitHistory, where: str) -> KeyedIds:
    last = history.last
    if last is None or (history.encoder is None and history.keys_path is None):
        raise _unreadable(where, f"no keys of the ids of {history.name!r}")
    return KeyedIds(history, last.metadata.domain)


def _unreadable(where: Any, received: str) -> PopSamplerError:
    error: PopSamplerError = PopSamplerError(
        f"Expected one fit whose keys can be read in {where}. Received: {received}. Pass the "
        "fitted workflow, the folder that it was saved in or the operator's out_path, and the "
        "column's name where there are several."
    )
    return error
