"""A stream of random draws as a weight of a Keras layer: what to draw next, and who draws what.

The weight is int64 `[key, position]`: the generator's key and the number of the next batch. As a
weight, Checkpoint, SavedModel, `.keras` and `.weights.h5` carry it, and a restored run draws on
where it stopped. Moving on is part of the graph, so that a trace moves nothing.
"""

import secrets
import sys
from typing import Any, Optional, Tuple

import tensorflow as tf

_UNSEEDED = -1
"""Position of a stream whose key is not chosen yet."""
_GOLDEN = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio: its multiples lie far apart (Knuth, volume 3, 6.4)."""


def add_stream(layer: Any, seed: Optional[int]) -> Any:
    """The stream's weight, as part of the layer.

    Each replica moves a copy of its own, without asking the others; a saved model holds the first
    one's. (A mirrored variable would want to merge the replicas, which TensorFlow refuses inside a
    nested `tf.function`, such as Merlin Models' scorer.)

    Args:
      layer: the Keras layer, of Keras 2 or 3, that will own the weight.
      seed: key of the stream; None leaves the choice to the first draw.
    """
    start = (0, _UNSEEDED) if seed is None else (first_key(seed), 0)
    if hasattr(tf.keras, "Variable"):  # Keras 3: its add_weight cannot say ON_READ
        return tf.keras.Variable(
            tf.constant(start, tf.int64),
            dtype="int64",
            trainable=False,
            synchronization="on_read",
            aggregation="only_first_replica",
            name="stream",
        )
    return layer.add_weight(
        name="stream",
        shape=(2,),
        dtype=tf.int64,
        initializer=tf.constant_initializer(start),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


def next_position(
    stream: Any, key_at_start: Optional[int], shared: bool
) -> Tuple[tf.Tensor, tf.Tensor]:
    """Key and position of the next batch; moves the stream on by one batch.

    Args:
      stream: the weight of `add_stream`.
      key_at_start: key, int64, that a stream takes at its first draw where it has none; None for a
        stream that was given one, which saves the question.
      shared: whether all replicas and workers draw the same ids, or each a stream of its own.

    Returns:
      Two int64 scalars.
    """
    key, position = tf.unstack(tf.convert_to_tensor(stream))
    if key_at_start is None:
        stream.assign_add(tf.constant([0, 1], tf.int64))
    else:
        key = tf.where(position < 0, tf.constant(key_at_start, tf.int64), key)
        position = tf.maximum(position, 0)
        stream.assign(tf.stack([key, position + 1]))
    return key if shared else _own_key(key), position


def first_key(seed: Optional[int]) -> int:
    """The key, `[-2**63, 2**63)`, of a seed; of None from `tf.random.set_seed` or the system.

    TensorFlow's seed is asked for eagerly, also during a trace, so that one set before the first
    draw gives the same key in eager mode and in a graph.
    """
    if seed is not None:
        return _signed(_mix(seed))
    with tf.init_scope():
        seeds = tf.compat.v1.get_seed(None)
    if seeds[0] is None:
        return _signed(secrets.randbits(64))
    return _signed(_mix(_mix(int(seeds[0])) + int(seeds[1])))


def _own_key(key: tf.Tensor) -> tf.Tensor:
    """The key of this replica of this worker; the first one's is the key itself."""
    context = tf.distribute.get_replica_context()
    replica = 0 if context is None else context.replica_id_in_sync_group
    # Replica ids count across the workers of a strategy; Horovod's processes know no strategy.
    horovod = sys.modules.get("horovod.tensorflow")
    worker = horovod.rank() if horovod is not None and horovod.is_initialized() else 0
    if worker == 0 and tf.get_static_value(replica) == 0:
        return key
    number = tf.cast(replica, tf.int64) + worker * 2**32
    return tf.bitwise.bitwise_xor(key, number * _signed(_GOLDEN))


def _mix(seed: int) -> int:
    """SplitMix64's finalizer (Steele, Lea and Flood 2014): near seeds, unrelated keys."""
    bits = (seed + _GOLDEN) % 2**64
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % 2**64
    return bits ^ (bits >> 31)


def _signed(bits: int) -> int:
    """64 bits as an int64."""
    return (bits + 2**63) % 2**64 - 2**63
