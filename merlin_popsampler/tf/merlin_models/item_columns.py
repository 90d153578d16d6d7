"""Reads the columns of an item table, keeps them in memory or in files, and gathers rows.

Row 0 is for every id without an item. It holds zeros, or an empty list. The item of rank r has row
`r + 1`.
"""

import os
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Tuple, Union
from urllib.parse import quote

import numpy as np
import tensorflow as tf

from merlin_popsampler.core.checks import truncate_repr
from merlin_popsampler.core.domain import IdDomain, MappedIds
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import PopSamplerError

Array = Any
"""A NumPy array, a tensor, or a memory-mapped array."""
AnyDomain = Union[IdDomain, MappedIds]


class Column(NamedTuple):
    """Holds one feature of all items.

    Args:
      name: name of the feature.
      values: numbers `[rows]`; lists of one length `[rows, length]`; or the elements of lists of
        varying length, concatenated.
      splits: int64 `[rows + 1]`, the position in `values` at which the list of each row begins, and
        the end; None unless lists vary in length.
    """

    name: str
    values: Array
    splits: Optional[Array] = None

    def at(self, rows: tf.Tensor) -> Dict[str, tf.Tensor]:
        """Gathers rows in the form of Merlin's Loader.

        For lists of varying length, it uses only operations that a GPU supports, unlike ragged
        tensors.
        """
        if self.splits is None:
            return {self.name: _take(self.values, rows)}
        starts = _take(self.splits, rows)
        lengths = _take(self.splits, rows + 1) - starts
        offsets = tf.concat([tf.zeros([1], tf.int64), tf.cumsum(lengths)], 0)
        indices = tf.repeat(starts - offsets[:-1], lengths) + tf.range(offsets[-1])
        return {
            f"{self.name}__values": _take(self.values, indices),
            f"{self.name}__offsets": offsets,
        }

    def without_items(self) -> "Column":
        """Returns the same feature of a table that has only row 0."""
        dtype = tf.as_dtype(self.values.dtype)
        if self.splits is None:
            return Column(self.name, tf.zeros([1, *self.values.shape[1:]], dtype))
        return Column(self.name, tf.zeros([0], dtype), tf.zeros([2], tf.int64))


def _take(array: Array, indices: tf.Tensor) -> tf.Tensor:
    if isinstance(array, tf.Tensor):
        return tf.gather(array, indices)
    taken = tf.numpy_function(
        lambda at: np.asarray(array[at]), [indices], array.dtype, stateful=False
    )
    taken.set_shape([*indices.shape, *array.shape[1:]])
    return taken


class Store:
    """Keeps the arrays of a table as tensors, or as memory-mapped files if they do not fit.

    Args:
      max_bytes: largest size of all tensors together, in bytes.
      folder: folder for the files, one `.npy` file for each array, which replaces an earlier one;
        None raises an error if an array does not fit.
    """

    def __init__(self, max_bytes: int, folder: Any) -> None:
        self.max_bytes, self.left, self.folder = max_bytes, max_bytes, folder

    def keep(self, column: Column) -> Column:
        """Moves the arrays of a column to memory or files, and returns the column.

        Raises:
          PopSamplerError: an array exceeds the memory that is left, and there is no folder.
        """
        values = self._kept(f"{column.name}.values", column.values)
        if column.splits is None:
            return Column(column.name, values)
        return Column(column.name, values, self._kept(f"{column.name}.splits", column.splits))

    def _kept(self, name: str, array: Array) -> Array:
        if array.nbytes <= self.left:
            self.left -= array.nbytes
            return tf.convert_to_tensor(array)
        if self.folder is None:
            raise PopSamplerError(
                f"Expected features of {self.max_bytes:,} bytes at most. Received: {name!r} of "
                f"{array.nbytes:,} bytes, with {self.left:,} left. Pass folder='...' for what does "
                "not fit, to be read from files there, or a larger max_bytes."
            )
        path = Path(self.folder) / f"{quote(name, safe='')}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".unfinished{os.getpid()}")
        with unfinished.open("wb") as file:
            np.save(file, array)
        # A table in use keeps its mapped file, although the name now refers to the new file.
        unfinished.replace(path)
        return np.load(path, mmap_mode="r")


def read_ids(items: Any, id_name: str, domain: AnyDomain) -> tf.DType:
    """Checks that the items have one row for each id of the domain, and returns the ids' dtype.

    Rows of reserved ids are ignored, since several unknown items share one id.

    Args:
      items: Merlin Dataset of items.
      id_name: name of the item-id column.
      domain: the ids that must have a row.

    Raises:
      PopSamplerError: ids are not integers, are negative or above the domain, or an id of the
        domain has no row or several.
    """
    ids = np.concatenate([_numbers(frame[id_name]) for frame in items.to_iter(columns=[id_name])])
    if ids.dtype.kind not in "iu":
        raise PopSamplerError(
            f"Column {id_name!r}: expected encoded ids, whole numbers. Received: {ids.dtype}. "
            "Pass the items as the fitted workflow encodes them, Workflow.transform(items)."
        )
    outside = np.unique(ids[(ids < 0) | (ids > domain.max_id)])
    if len(outside):
        raise PopSamplerError(
            f"Column {id_name!r}: expected ids from 0 to {domain.max_id}. Received: "
            f"{_some(outside)}. Encode the items by the workflow that encoded the training data."
        )
    counts = np.bincount(_rows(ids, domain), minlength=domain.size + 1)[1:]
    missing = domain.id(np.flatnonzero(counts == 0))
    if len(missing):
        raise PopSamplerError(
            f"Column {id_name!r}: expected a row for each id from {domain.min_id} to "
            f"{domain.max_id}, since each can be drawn. Received: none for {_some(missing)}. Add "
            "rows for these items to the raw data. Features that are not known may be null there."
        )
    several = domain.id(np.flatnonzero(counts > 1))
    if len(several):
        raise PopSamplerError(
            f"Column {id_name!r}: expected one row an id. Received: several for {_some(several)}. "
            "Keep one row of each item, drop_duplicates(subset=[...]) before the workflow."
        )
    return tf.as_dtype(ids.dtype)


def read_column(items: Any, id_name: str, column: Any, domain: AnyDomain) -> Column:
    """Reads one feature of all items as NumPy arrays.

    Args:
      items: Merlin Dataset of items, which `read_ids` has checked.
      id_name: name of the item-id column.
      column: ColumnSchema of the feature, whose shape tells the form of lists in Merlin's Loader.
      domain: the ids that have a row; other rows are left out.

    Raises:
      PopSamplerError: values are missing or not numbers, or lengths of lists differ from the
        schema.
    """
    frames = items.to_iter(columns=[id_name, column.name])
    parts = [_elements(frame, id_name, column, domain) for frame in frames]
    row, lengths = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    # A part with only empty lists has no type.
    values = np.concatenate([part[2] for part in parts if len(part[2])] or [np.zeros(0, np.int64)])
    if values.dtype.kind not in "iufb":
        raise PopSamplerError(
            f"Column {column.name!r}: expected numbers, or lists of numbers. Received: "
            f"{values.dtype}, such as {truncate_repr(values[0])}. "
            "Encode it in the workflow, or leave it "
            "out: columns=[...]."
        )
    sizes = np.zeros(domain.size + 1, np.int64)
    sizes[row] = lengths
    splits = np.concatenate([[0], np.cumsum(sizes)])
    before = np.cumsum(lengths) - lengths
    by_row = np.empty_like(values)
    by_row[np.repeat(splits[row] - before, lengths) + np.arange(len(values))] = values
    if column.shape.is_list and column.shape.is_ragged:
        return Column(column.name, by_row, splits)
    return Column(column.name, _dense(by_row, column, sizes[1:]))


def _elements(frame: Any, id_name: str, column: Any, domain: AnyDomain) -> Tuple[Ints, Ints, Array]:
    """Returns table rows, lengths and elements of the rows with an item."""
    from merlin.core import dispatch

    frame = frame[domain.contains(frame[id_name])]
    rows = _rows(_numbers(frame[id_name]), domain)
    values, lengths = _present(frame[column.name], column.name), np.ones(len(rows), np.int64)
    if column.shape.is_list:
        values, offsets = dispatch.pull_apart_list(values)
        values, lengths = _present(values, column.name), np.diff(_numbers(offsets).astype(np.int64))
    return rows, lengths, _numbers(values)


def _present(values: Any, name: str) -> Any:
    """Returns the series after checking that no value is missing."""
    missing = int(values.isna().sum())
    if missing:
        raise PopSamplerError(
            f"Column {name!r}: expected a value of each item. Received: {missing} missing values. "
            "Fill them in the workflow (`>> FillMissing()`), or encode them (Categorify has an id "
            "for null)."
        )
    return values


def _dense(values: Array, column: Any, lengths: Ints) -> Array:
    """Adds row 0 to numbers, or to lists of one length."""
    if column.shape.is_list:
        length = int(column.shape.dims[1].max)
        if (lengths != length).any():
            raise PopSamplerError(
                f"Column {column.name!r}: expected lists of {length} values, as the schema says. "
                f"Received: lists of {_some(np.unique(lengths))}. Correct the schema's shape, or "
                "the lists (`>> ListSlice(..., pad=True)`)."
            )
        values = values.reshape(-1, length)
    return np.concatenate([np.zeros_like(values[:1]), values])


def _rows(ids: Ints, domain: AnyDomain) -> Ints:
    """Returns the row of each id in the table, 0 for ids without an item."""
    ids = ids.astype(np.int64)
    return np.where(domain.contains(ids), domain.rank(ids) + 1, 0)


def _numbers(values: Any) -> Array:
    return values.to_numpy()


def _some(numbers: Array) -> str:
    """Formats the first of the numbers, and how many more there are."""
    listed = ", ".join(map(str, numbers[:5].tolist()))
    return listed if len(numbers) <= 5 else f"{listed} and {len(numbers) - 5} more"
