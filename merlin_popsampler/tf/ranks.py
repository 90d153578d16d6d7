"""The ranks of a batch, drawn by the algorithm that suits the device that draws them."""

from typing import Any

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from merlin_popsampler.core.draw_plan import prefers_race
from merlin_popsampler.core.laws import Law
from merlin_popsampler.errors import PopSamplerError

from . import distinct, sequence

BRANCHES = ("auto", "race", *distinct.ALGORITHMS)


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
    if not unique or num_sampled == 1:
        return sequence.independent(law, key, position, num_sampled)
    if num_sampled > law.size:
        raise PopSamplerError(
            f"Expected at most {law.size} unique samples, the number of items. "
            f"Received: num_sampled={num_sampled}. Draw fewer, or pass unique=False."
        )
    if branch == "race" or (branch == "auto" and prefers_race(law, num_sampled)):
        return tf.cast(sequence.race(law, key, position, num_sampled), tf.int64)
    if branch == "auto":
        branch = _best_branch()
    ranks = sequence.first_distinct(law, key, position, num_sampled, algorithm=branch)
    return tf.cast(ranks, tf.int64)


def _best_branch() -> str:
    """The algorithm for where this is traced."""
    if tf.config.list_logical_devices("GPU"):
        return "sort"
    return "hash" if _in_xla() else "host"


def _in_xla() -> bool:
    """Whether what is traced here will be compiled (`jit_compile=True`)."""
    graph = tf.compat.v1.get_default_graph()
    return not tf.executing_eagerly() and bool(control_flow_util.GraphOrParentsInXlaContext(graph))
