"""The laws' functions on a device, in float64."""

import math
from typing import Callable

import numpy as np
import tensorflow as tf

from merlin_popsampler.core.alias import alias_table
from merlin_popsampler.core.laws import Empirical, Ints, Law, LogUniform, Uniform
from merlin_popsampler.errors import PopSamplerError

Inverse = Callable[[tf.Tensor, bool], tf.Tensor]
"""From float64 uniforms in [0, 1), and whether the head is left out, to ranks."""


def inverse(law: Law, integer: tf.DType = tf.int64, head: int = 0) -> Inverse:
    """The function that turns uniforms into ranks of the whole law, or of those behind a head.

    Its constants are made here, once for all calls.

    Args:
      law: the law of one draw.
      integer: int64, or int32 where it holds the ranks. (Not on a GPU, whose int32 arithmetic
        TensorFlow leaves to the host.)
      head: first rank behind the head; for `Empirical` the start of a step.

    Raises:
      PopSamplerError: a law that has no device form.
    """
    if isinstance(law, LogUniform):
        real = _exponential(law, head)
    elif isinstance(law, Uniform):
        real = _linear(law, head)
    elif isinstance(law, Empirical):
        real = _staircase(law, head)
    else:
        raise PopSamplerError(
            f"Expected a law of merlin_popsampler.laws. Received: {law!r}. "
            "Give the measured popularity as Empirical steps instead."
        )
    last = float(law.size - 1)

    def ranks(uniforms: tf.Tensor, behind: bool) -> tf.Tensor:
        # What rounding makes of u next to 1 is cut before the cast.
        return tf.cast(tf.minimum(real(uniforms, behind), last), integer)

    return ranks


def head_probs(law: Law, head: int) -> tf.Tensor:
    """Probability of one draw of the ranks `[0, head)`: float64 `[head]`."""
    ranks = tf.range(head, dtype=tf.int64)
    if isinstance(law, LogUniform):
        after = tf.cast(ranks, tf.float64) + 1.0
        return tf.math.log((after + 1.0) / after) / math.log1p(law.size)
    if isinstance(law, Empirical):
        starts = law.starts[law.starts < head]
        return tf.gather(tf.constant(law.step_probs[: len(starts)]), _step(starts, ranks))
    return tf.fill([head], np.float64(1.0 / law.size))


def step(law: Empirical, ranks: tf.Tensor) -> tf.Tensor:
    """Index of the step that each rank is on, int64 of the shape of `ranks`."""
    return tf.reshape(_step(law.starts, tf.reshape(ranks, [-1])), tf.shape(ranks))


def _step(starts: Ints, ranks: tf.Tensor) -> tf.Tensor:
    edges = tf.constant(starts[1:], tf.int64)
    return tf.searchsorted(edges, ranks, side="right", out_type=tf.int64)


def _exponential(law: LogUniform, head: int) -> Inverse:
    whole = math.log1p(law.size)

    def real(uniforms: tf.Tensor, behind: bool) -> tf.Tensor:
        if not behind:
            return tf.exp(uniforms * whole) - 1.0
        return tf.exp(uniforms * (whole - math.log1p(head))) * float(head + 1) - 1.0

    return real


def _linear(law: Uniform, head: int) -> Inverse:
    def real(uniforms: tf.Tensor, behind: bool) -> tf.Tensor:
        first = head if behind else 0
        return float(first) + uniforms * float(law.size - first)

    return real


def _staircase(law: Empirical, head: int) -> Inverse:
    """A step by the alias method, then an affine map inside the step.

    The steps of the head and those behind it have columns of their own, so that one table serves
    both questions. What the choice of the step leaves of the uniform, 53 bits less those of the
    number of steps, chooses the rank inside it.
    """
    first = int(np.searchsorted(law.starts, head))
    masses = law.step_probs * law.steps.lengths
    cuts, aliases = alias_table(masses[first:])
    if first:
        head_cuts, head_aliases = alias_table(masses[:first])
        cuts = np.concatenate([head_cuts, cuts])
        aliases = np.concatenate([head_aliases, aliases + first])
    steps = np.stack([np.arange(len(cuts)), aliases], axis=1).ravel()
    low = np.stack([np.zeros_like(cuts), cuts], axis=1).ravel()
    width = np.stack([cuts, 1.0 - cuts], axis=1).ravel()
    starts, lengths = law.starts[steps], law.steps.lengths[steps]
    scale = lengths / np.where(width > 0, width, 1.0)
    table, edges = tf.constant(np.stack([starts - low * scale, scale], axis=1)), tf.constant(cuts)
    mass, behind_first = float(law.cdf[first]), float(len(cuts) - first)

    def columns(uniforms: tf.Tensor, behind: bool) -> tf.Tensor:
        if behind:
            return float(first) + uniforms * behind_first
        if not first:
            return uniforms * behind_first
        in_head = uniforms * (first / mass)
        after = float(first) + (uniforms - mass) * (behind_first / (1.0 - mass))
        return tf.where(uniforms < mass, tf.minimum(in_head, np.nextafter(first, 0.0)), after)

    def real(uniforms: tf.Tensor, behind: bool) -> tf.Tensor:
        column = columns(uniforms, behind)
        whole = tf.minimum(tf.floor(column), len(cuts) - 1.0)
        inside, index = column - whole, tf.cast(whole, tf.int64)
        above = tf.cast(inside >= tf.gather(edges, index), tf.int64)
        offset, scales = tf.unstack(tf.gather(table, 2 * index + above), axis=1)
        # Rounding moves the ends of a step by 1e-16 of their rank or so; the first must hold.
        return tf.maximum(offset + inside * scales, float(head if behind else 0))

    return real
