"""Finds the columns of a batch of Merlin Models that hold a list of ids for each row."""

from typing import Any, Optional

import tensorflow as tf

from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.tf.id_lists import IdLists, as_id_lists
from merlin_popsampler.tf.ids import integers


def check_column_name(argument: str, name: Any) -> None:
    """Checks that an argument is the name of a column, or None.

    Args:
      argument: name of the argument, for the message.
      name: its value.

    Raises:
      PopSamplerError: the value is neither a string nor None.
    """
    if not (name is None or isinstance(name, str)):
        raise PopSamplerError(
            f"Expected {argument} to be the name of a column of the batch, since Merlin Models "
            f"passes nothing but the batch to an output. Received: {type(name).__name__}. Put the "
            "ids into a column of the data, and pass its name."
        )


def column_lists(
    argument: str, name: Optional[str], query: Any, ids: tf.Tensor, *batch: Any
) -> Optional[IdLists]:
    """Returns a list of ids for each query from a column of the batch; None if `name` is None.

    Args:
      argument: name of the argument that names the column, for messages.
      name: name of the column.
      query: floats `[rows, dim]`, or ragged `[batch, (positions), dim]`. In the ragged form, all
        positions of a row of the batch share its list.
      ids: int64 `[rows]`, the positives.
      *batch: features and targets; the dicts among them are searched for the column.

    Raises:
      PopSamplerError: there is no such column, or its values are not integers.
    """
    if name is None:
        return None
    lists = _lists(_found(argument, name, batch))
    if isinstance(query, tf.RaggedTensor):
        lists = tf.gather(lists, query.value_rowids())
    return as_id_lists(argument, lists, ids)


def _found(argument: str, name: str, batch: Any) -> Any:
    """Returns the values of a column, dense or ragged."""
    columns = [each for each in batch if isinstance(each, dict)]
    for each in columns:
        if name in each:
            return each[name]
        if f"{name}__values" in each:  # as Merlin's Loader passes lists of varying length
            values, offsets = (tf.reshape(each[f"{name}__{x}"], [-1]) for x in _PARTS)
            return tf.RaggedTensor.from_row_splits(values, offsets)
    received = sorted({column for each in columns for column in each})
    raise PopSamplerError(
        f"Column {name!r}: expected the ids of {argument} in the batch. Received: {received}. "
        "Make it an input of the model by the model's argument schema=, or move it to a dict of "
        "targets by Loader.map."
    )


_PARTS = ("values", "offsets")


def _lists(values: Any) -> Any:
    """Returns the ids of each row, integers `[rows, n]`, of a column with one id or several."""
    ids = integers(values)
    if isinstance(ids, tf.RaggedTensor):
        return ids.with_flat_values(tf.reshape(ids.flat_values, [-1]))
    return tf.reshape(ids, [tf.shape(ids)[0], -1])
