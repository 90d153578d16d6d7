"""Represents a list of ids for each row of a batch, from a dense, padded or ragged tensor."""

from typing import Any, NamedTuple, Tuple

import tensorflow as tf

from merlin_popsampler.errors import PopSamplerError

from .ids import integers


class IdLists(NamedTuple):
    """Holds a list of ids for each row, concatenated.

    Attributes:
      ids: int64 `[m]`.
      rows: int32 `[m]`, the row of each id.
    """

    ids: tf.Tensor
    rows: tf.Tensor


def as_id_lists(name: str, given: Any, true_ids: tf.Tensor) -> IdLists:
    """Converts lists of ids in the forms that callers may pass to `IdLists`.

    Args:
      name: name of the argument, for the message.
      given: integers `[rows, n]`, or `[1, n]` for one list that all rows share, dense or ragged.
        `IdLists` are returned as they are.
      true_ids: integers `[rows]`, the positives, which show the number of rows.

    Raises:
      PopSamplerError: the ids are not integers, or have another shape.
    """
    if isinstance(given, IdLists):
        return given
    ids, row = flat(_a_list_a_row(name, given, true_ids))
    return IdLists(tf.cast(ids, tf.int64), row)


def join(*lists: Any) -> Any:
    """Concatenates several `IdLists`, of which some may be None; None if all are."""
    given = [each for each in lists if each is not None]
    return IdLists(*(tf.concat(parts, 0) for parts in zip(*given))) if given else None


def among(lists: IdLists, ids: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Tests for each row which ids are in its list, bool `[rows, len(ids)]`.

    Each listed id is looked up among the sorted ids, since a comparison of all pairs would take
    memory for rows x listed x ids.

    Args:
      lists: a list of ids for each row.
      ids: int64 `[n]`, the same ids for all rows.
      rows: number of rows.
    """
    ordered = tf.sort(ids)
    column = tf.minimum(tf.searchsorted(ordered, lists.ids), tf.size(ordered) - 1)
    found = tf.cast(tf.equal(tf.gather(ordered, column), lists.ids), tf.int32)
    marked, shape = tf.stack([lists.rows, column], 1), tf.stack([rows, tf.size(ordered)])
    # Repeats of an id share the column of the first.
    columns = tf.searchsorted(ordered, ids)
    return tf.gather(tf.scatter_nd(marked, found, shape), columns, axis=1) > 0


def first_in_row(lists: IdLists, cardinality: int) -> tf.Tensor:
    """Tests for each id whether it is its first occurrence in the list of its row, bool `[m]`.

    Args:
      lists: ids from 0 to `cardinality - 1`. The result for other ids is undefined.
      cardinality: exclusive limit of the ids.
    """
    inside = (lists.ids >= 0) & (lists.ids < cardinality)
    keys = tf.where(inside, tf.cast(lists.rows, tf.int64) * cardinality + lists.ids, -1)
    first, positions = tf.searchsorted(tf.sort(keys), keys), tf.range(tf.size(keys))
    earliest = tf.math.unsorted_segment_min(positions, first, tf.size(keys))
    return tf.equal(tf.gather(earliest, first), positions)


def flat(ids: Any) -> Tuple[tf.Tensor, tf.Tensor]:
    """Returns the ids of a matrix, dense or ragged, as one vector, and the row (int32) of each."""
    if isinstance(ids, tf.RaggedTensor):
        return ids.flat_values, tf.cast(ids.value_rowids(), tf.int32)
    rows = tf.broadcast_to(tf.range(tf.shape(ids)[0])[:, None], tf.shape(ids))
    return tf.reshape(ids, [-1]), tf.reshape(rows, [-1])


def _a_list_a_row(name: str, given: Any, true_ids: tf.Tensor) -> Any:
    """Returns the ids as integers `[rows, n]`, dense or ragged."""
    ids = integers(given, name)
    ragged = isinstance(ids, tf.RaggedTensor)
    found, rows = ids.shape[:1], true_ids.shape[:1]
    one = found == [1] and rows != [1]
    if ids.shape.rank != 2 or not (one or found.is_compatible_with(rows)):
        raise PopSamplerError(
            f"Expected {name} [rows, n] of as many rows as the queries, {rows}, or of one. "
            f"Received: {ids.shape}. Give each row its list: tf.gather({name}, numbers) by the "
            f"number of each row's list where several rows share one, {name}[:, None] where each "
            f"row has one id, {name}[None] where all rows share a list."
        )
    if not ragged:
        return tf.broadcast_to(ids, [tf.size(true_ids), tf.shape(ids)[1]])
    if one:
        return tf.gather(ids, tf.zeros_like(true_ids))
    same = tf.debugging.assert_equal(ids.nrows(tf.int32), tf.size(true_ids), f"rows of {name}")
    with tf.control_dependencies([same] if same is not None else []):
        return ids.with_values(tf.identity(ids.values))
