"""Maps uniforms to ranks in TensorFlow, in float64, by the tables of `core.tables`."""

from typing import Callable

import numpy as np
import tensorflow as tf

from merlin_popsampler.core.segments import Ints, Segments
from merlin_popsampler.core.tables import InverseTable, Line

InverseCDF = Callable[[tf.Tensor, bool], tf.Tensor]
"""Function of float64 uniforms in [0, 1), and of whether to draw only behind the head, to ranks."""


def inverse(table: InverseTable, integer: tf.DType = tf.int64) -> InverseCDF:
    """Builds the function that maps uniforms to all ranks, or only to those behind the head.

    The table stays in NumPy until this function converts it to tensors, the constants of the
    current graph. A tensor from the constructor would be an input that a SavedModel has to track.

    Args:
      table: the constants of the map, from `core.tables`.
      integer: dtype of the ranks: int64, or int32 if the catalog is small enough. On a GPU, use
        int64, since TensorFlow computes int32 on the host.
    """
    last = float(table.size - 1)
    if table.shift is not None:
        real = _exponential(table)
    else:
        real = _affine(table) if table.cuts is None else _by_columns(table)

    def ranks(uniforms: tf.Tensor, behind: bool) -> tf.Tensor:
        # For a uniform close to 1, rounding may give a rank above the last one.
        return tf.cast(tf.minimum(real(uniforms, behind), last), integer)

    return ranks


def head_probs(segments: Segments, count: int) -> tf.Tensor:
    """Returns the probabilities of the ranks `[0, count)` in one draw, float64 `[count]`."""
    ranks = tf.range(count, dtype=tf.int64)
    if segments.shift is not None:
        after = tf.cast(ranks, tf.float64) + segments.shift
        return tf.math.log((after + 1.0) / after) / segments.log_range
    if len(segments.starts) == 1:
        return tf.fill([count], segments.probs[0])
    starts = segments.starts[segments.starts < count]
    return tf.gather(tf.constant(segments.probs[: len(starts)]), segment(starts, ranks))


def segment(starts: Ints, ranks: tf.Tensor) -> tf.Tensor:
    """Returns the index of the segment of each rank `[n]`, int64 `[n]`."""
    edges = tf.constant(starts[1:], tf.int64)
    return tf.searchsorted(edges, ranks, side="right", out_type=tf.int64)


def _line(table: InverseTable, behind: bool) -> Line:
    return table.behind if behind else table.whole


def _exponential(table: InverseTable) -> InverseCDF:
    def real(uniforms: tf.Tensor, behind: bool) -> tf.Tensor:
        offset, scale = _line(table, behind)
        grown = tf.exp(uniforms * scale)
        return (grown if offset == 1.0 else grown * offset) - table.shift

    return real


def _affine(table: InverseTable) -> InverseCDF:
    def real(uniforms: tf.Tensor, behind: bool) -> tf.Tensor:
        offset, scale = _line(table, behind)
        return uniforms * scale + offset if offset else uniforms * scale

    return real


def _by_columns(table: InverseTable) -> InverseCDF:
    cuts, lines = tf.constant(table.cuts), tf.constant(table.lines)
    last = cuts.shape[0] - 1.0

    def real(uniforms: tf.Tensor, behind: bool) -> tf.Tensor:
        column = _column(table, uniforms, behind)
        whole = tf.minimum(tf.floor(column), last)
        inside, index = column - whole, tf.cast(whole, tf.int64)
        above = tf.cast(inside >= tf.gather(cuts, index), tf.int64)
        offset, scale = tf.unstack(tf.gather(lines, 2 * index + above), axis=1)
        # Rounding moves the ends of a segment by some 1e-16 of their rank, but no rank may be
        # below the first one.
        return tf.maximum(offset + inside * scale, float(table.head if behind else 0))

    return real


def _column(table: InverseTable, uniforms: tf.Tensor, behind: bool) -> tf.Tensor:
    offset, scale = _line(table, behind)
    if behind:
        return offset + uniforms * scale
    if not table.head_columns:
        return uniforms * scale
    in_head = uniforms * (table.head_columns / table.head_mass)
    in_head = tf.minimum(in_head, np.nextafter(table.head_columns, 0.0))
    after = offset + (uniforms - table.head_mass) * scale
    return tf.where(uniforms < table.head_mass, in_head, after)
