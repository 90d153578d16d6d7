"""Draws and prices on a device: TensorFlow functions without state, one short form per law.

Everything here is a function of its arguments alone. Randomness is counter based: the Philox
generator with key `key` and counter (block, `position`), so equal key and position give equal
draws in eager mode, in a graph and under XLA, and a trace draws nothing.
"""

import math
from typing import Any, Tuple

import numpy as np
import tensorflow as tf

from .errors import PopSamplerError
from .laws import Empirical, Law, LogUniform, Uniform

BRANCHES = ("auto", "host", "fixed", "race")


def draw_ranks(
    law: Law, key: Any, position: Any, num_sampled: int, unique: bool = True, branch: str = "auto"
) -> tf.Tensor:
    """Ranks of one batch: independent draws, or the first `num_sampled` distinct ones.

    Args:
      law: the law of one draw.
      key: Philox key, an integer scalar (int64 or uint64, number or tensor).
      position: number of the batch in the stream, an integer scalar as `key`. Equal key and
        position give equal draws, different positions independent ones.
      num_sampled: number of ranks, a static number; with `unique` at most `law.size`.
      unique: whether the ranks are distinct (successive sampling) or independent.
      branch: "auto" chooses by context; the other `BRANCHES` force an algorithm (tests).

    Returns:
      int64 `[num_sampled]`, in `[0, law.size)`.

    Raises:
      PopSamplerError: more unique draws than items, or a law that has no device form.
    """
    if branch not in BRANCHES:
        raise PopSamplerError(f"Expected branch in {BRANCHES}. Received: {branch!r}. Use 'auto'.")
    if not unique:
        return _ranks(law, _bits(key, position, 0, num_sampled))
    if num_sampled > law.size:
        raise PopSamplerError(
            f"Expected at most {law.size} unique samples, the number of items. "
            f"Received: num_sampled={num_sampled}. Draw fewer, or pass unique=False."
        )
    tries = _tries(law, num_sampled)
    first = tf.unique(_ranks(law, _bits(key, position, 0, tries))).y

    def more(block: tf.Tensor, found: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        fresh = _ranks(law, _bits(key, position, block, tries))
        return block + tries, tf.unique(tf.concat([found, fresh], 0)).y

    _, found = tf.while_loop(
        lambda block, found: tf.size(found) < num_sampled,
        more,
        (tf.constant(tries, tf.int64), first),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([None])),
    )
    return tf.ensure_shape(found[:num_sampled], [num_sampled])


def prob(law: Law, ranks: Any) -> tf.Tensor:
    """Probability of one draw, float32 of the ranks' shape; 0.0 outside `[0, size)`."""
    ranks = tf.cast(ranks, tf.int64)
    inside = tf.logical_and(ranks >= 0, ranks < law.size)
    ranks = tf.where(inside, ranks, tf.zeros_like(ranks))
    if isinstance(law, LogUniform):
        values = tf.math.log1p(1.0 / (tf.cast(ranks, tf.float32) + 1.0)) / math.log1p(law.size)
    elif isinstance(law, Uniform):
        values = tf.fill(tf.shape(ranks), np.float32(1.0 / law.size))
    elif isinstance(law, Empirical):
        starts = law.steps.starts
        step = tf.searchsorted(tf.constant(starts), tf.reshape(ranks, [-1]), side="right") - 1
        values = tf.gather(tf.constant(law.prob(starts), tf.float32), tf.reshape(step, ranks.shape))
    else:
        raise _unknown(law)
    return tf.where(inside, values, tf.zeros_like(values))


def expected_count(law: Law, table: Any, ranks: Any) -> tf.Tensor:
    """Expected number of times a rank is in one batch, float32; 1.0 outside `[0, size)`."""
    ranks = tf.cast(ranks, tf.int64)
    inside = tf.logical_and(ranks >= 0, ranks < law.size)
    safe = tf.where(inside, ranks, tf.zeros_like(ranks))
    counts = tf.numpy_function(
        lambda values: np.asarray(table.expected_count(values), np.float32), [safe], tf.float32
    )
    return tf.where(inside, tf.ensure_shape(counts, ranks.shape), tf.ones_like(counts))


def _bits(key: Any, position: Any, block: Any, num: int) -> tf.Tensor:
    """`num` uint64 of the stream: Philox with counter (block, position), two numbers a block."""
    return tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=[num],
        key=tf.reshape(_uint64(key), [1]),
        counter=tf.stack([_uint64(block), _uint64(position)]),
        alg=1,  # Philox
        dtype=tf.uint64,
    )


def _uint64(value: Any) -> tf.Tensor:
    """A scalar of any integer type as uint64, bit by bit."""
    if isinstance(value, (int, np.integer)):
        return tf.constant(int(value) % 2**64, tf.uint64)
    return tf.cast(value, tf.uint64)


def _uniforms(bits: tf.Tensor) -> tf.Tensor:
    """float64 in [0, 1) with 53 bits; XLA's own float uniforms differ from the graph's."""
    return tf.cast(tf.bitwise.right_shift(bits, tf.constant(11, tf.uint64)), tf.float64) * 2.0**-53


def _ranks(law: Law, bits: tf.Tensor) -> tf.Tensor:
    """The law's inverse distribution function: one rank for each number of `bits`."""
    uniforms = _uniforms(bits)
    if isinstance(law, LogUniform):
        ranks = tf.cast(tf.exp(uniforms * math.log1p(law.size)), tf.int64) - 1
    elif isinstance(law, Uniform):
        ranks = tf.cast(uniforms * float(law.size), tf.int64)
    elif isinstance(law, Empirical):
        ranks = _staircase(law, uniforms)
    else:
        raise _unknown(law)
    return tf.minimum(ranks, law.size - 1)  # what rounding may produce at u next to 1


def _staircase(law: Empirical, uniforms: tf.Tensor) -> tf.Tensor:
    """Step by its cumulative mass, then an affine map inside the step."""
    starts = law.steps.starts
    probs = law.prob(starts)
    edges = np.concatenate([[0.0], np.cumsum(probs * law.steps.lengths)])
    step = tf.searchsorted(tf.constant(edges[1:-1]), uniforms, side="right")
    inside = (uniforms - tf.gather(tf.constant(edges), step)) / tf.gather(tf.constant(probs), step)
    first = tf.gather(tf.constant(starts, tf.int64), step)
    last = tf.gather(tf.constant(starts + law.steps.lengths - 1, tf.int64), step)
    return tf.clip_by_value(first + tf.cast(inside, tf.int64), first, last)


def _tries(law: Law, num_sampled: int) -> int:
    """Number of draws that hold `num_sampled` distinct ranks almost surely, at most 4 per item."""
    probs, multiplicities = law.nodes()
    tries = float(num_sampled)
    for _ in range(64):
        if np.sum(-np.expm1(tries * np.log1p(-probs)) * multiplicities) >= num_sampled:
            break
        tries *= 1.1
    return int(min(tries * 1.1 + 12 * math.sqrt(num_sampled), 4 * law.size)) + 16


def _unknown(law: Law) -> PopSamplerError:
    return PopSamplerError(
        "Expected a law with a device form: LogUniform, Empirical or Uniform. "
        f"Received: {type(law).__name__}."
    )
