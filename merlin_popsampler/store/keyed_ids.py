"""Reads the ids of a fit with their keys."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Iterator, Optional, Tuple

import numpy as np

from merlin_popsampler.contract.schema import column_popularity, find_item_column
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import PopSamplerError

from . import artifact, filesystem
from .fit_history import FitHistory
from .fit_sources import Fits, read_source
from .locations import fitted_at

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def read_keys(source: Any, column: Optional[str] = None) -> "pd.DataFrame":
    """Reads the key of each item, to show what a model recommends.

    This is the inverse of encoding. It also reads ids that FrequencyOrder renumbered, stable ids,
    and a saved workflow that was moved.

    Args:
      source: a fit, as for `id_map`: a fitted workflow or operator; the path of a saved workflow,
        of an operator's `out_path` or of a data set; or a Schema, Dataset or Loader whose
        `cat_path` can be read.
      column: name of the column. None takes the column that is tagged as item id, or the only
        vocabulary of a folder or operator.

    Returns:
      A pandas frame with a row for each item. Its index `id` (int64) holds the ids in order, its
      columns the keys: one column, or several where they are encoded together. Reserved ids have
      no row. Vanished items of stable ids have one.

    Raises:
      PopSamplerError: the keys of the fit cannot be read.

    Examples:
      >>> import pandas as pd
      >>> from merlin.io import Dataset
      >>> from nvtabular import Workflow
      >>> from merlin_popsampler import FrequencyCategorify
      >>> workflow = Workflow(["item"] >> FrequencyCategorify()).fit(
      ...     Dataset(pd.DataFrame({"item": ["tea", "tea", "rice"]}), cpu=True)
      ... )
      >>> keys = read_keys(workflow, "item")
      >>> keys["item"].loc[[4, 3]].tolist()
      ['rice', 'tea']
    """
    import pandas as pd

    parts = [
        keys.to_pandas().set_index(pd.Index(ids, np.int64, name="id"))
        for ids, keys in keyed_ids(source, column).parts()
    ]
    return pd.concat(parts).sort_index()


SEVERAL_FITS = (
    " If a folder holds several, workflows were saved there more than once, or one that was loaded "
    "from it was fitted. Pass nvtabular.Workflow.load of the folder, and save each fit into a "
    "folder of its own."
)
"""End of an error about a folder whose fits have no order."""


@dataclass(frozen=True)
class KeyedIds:
    """Reads the ids of a fit with their keys.

    Args:
      history: the fits that assigned the ids.
      domain: the ids that stand for an item.
    """

    history: FitHistory
    domain: IdDomain

    def parts(self) -> "Iterator[Tuple[Ints, pa.Table]]":
        """Yields ids (integers `[keys]`) and their keys, in the parts that the fit wrote.

        Raises:
          PopSamplerError: a file was changed, moved or removed, or it does not contain the ids.
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
        """Yields `parts` with the encoder's ids, before FrequencyOrder renumbered them."""
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
            del file, content  # frees their memory while the caller looks up the keys
            yield np.arange(first, first + len(keys), dtype=dtype), keys
            first += len(keys)

    def _renumbered(self) -> Tuple[int, Ints]:
        """Returns the map of FrequencyOrder: its first id, and the new ids from that id on."""
        order = self.history.last
        if order is None or artifact.MAP not in order.files:
            return 0, np.zeros(0, np.int64)
        table = order.table(artifact.MAP)  # its rows are consecutive ids
        return int(table["id"].iloc[0]), table["new_id"].to_numpy(np.int64)


def keyed_ids(source: Any, column: Optional[str]) -> KeyedIds:
    """Returns the ids and keys of a fit in any form that `id_map` accepts.

    Raises:
      PopSamplerError: the source does not hold exactly one fit whose keys can be read.
    """
    where, schema, fits = read_source(source)
    if schema is None:
        return _only(fits or {}, column, where)
    return _of_schema(schema, column, fits or {}, where)


def _only(fits: Fits, column: Optional[str], where: str) -> KeyedIds:
    """Returns the ids and keys of a column that must have exactly one fit."""
    every = sorted(fits) if column is None else []
    names = [column] if isinstance(column, str) and column in fits else every
    if len(names) == 1 and len(fits[names[0]]) > 1:
        raise PopSamplerError(
            f"Expected one fit of {names[0]!r} in {where}. Received: {len(fits[names[0]])}."
            + SEVERAL_FITS
        )
    if len(names) != 1:
        raise _unreadable(where, f"column={column!r}, and fits of {sorted(fits)}")
    return _complete(fits[names[0]][0], where)


def _of_schema(schema: Any, column: Optional[str], fits: Fits, where: str) -> KeyedIds:
    """Returns the ids of a column, and the keys at its `cat_path` or in the workflow's fits."""
    found = find_item_column(schema, column)
    domain, path = column_popularity(found).domain, found.properties.get("cat_path")
    name = (found.properties.get("domain") or {}).get("name", found.name)
    histories = fits.get(name) or fits.get(found.name) or []
    own = histories[0] if len(histories) == 1 else None
    keys_path = own.keys_path if own else None
    if own and keys_path and filesystem.exists(keys_path):
        # Of Categorify: a later fit may have overwritten the file at cat_path.
        return KeyedIds(own, domain)
    if path and not keys_path and filesystem.exists(str(path)):
        encoder = fitted_at(filesystem.absolute(str(path)))
        return KeyedIds(FitHistory(name, None, encoder, str(path)), domain)
    if own is None:
        raise _unreadable(where, f"cat_path {path!r} of column {found.name!r}")
    return _complete(own, where)


def _complete(history: FitHistory, where: str) -> KeyedIds:
    last = history.last
    if last is None or (history.encoder is None and history.keys_path is None):
        raise _unreadable(where, f"no keys of the ids of {history.name!r}")
    return KeyedIds(history, last.metadata.domain)


def _unreadable(where: Any, received: str) -> PopSamplerError:
    error: PopSamplerError = PopSamplerError(
        f"Expected one fit whose keys can be read in {where}. Received: {received}. Pass the "
        "fitted workflow, the folder that it was saved in or the operator's out_path, and the "
        "column's name where there are several. Columns that were encoded jointly have one fit: "
        "for a folder or an operator, pass the name of that fit."
    )
    return error
