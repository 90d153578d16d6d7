"""Implements a stream of draws as a weight of a Keras layer, with a key for each replica.

The weight is int64 `[counter, unseeded, key]`, the state of TensorFlow's Philox generator. The
counter is 256 times the number of the next batch, and `unseeded` is 1 until a key is chosen.
Checkpoint, SavedModel, `.keras` and `.weights.h5` save weights, so a restored model continues the
stream.

One op, `RngReadAndSkip`, takes a batch from the stream: it reads and advances the weight
atomically, and the draw depends on the value read. So no two threads, steps or iterations get the
same batch, in any kind of graph. A trace does not advance the stream, since the op is a part of the
graph.
"""

import secrets
import sys
from typing import Any, Optional, Tuple

import numpy as np
import tensorflow as tf

from merlin_popsampler.core.stream_keys import mixed, own_bits, seed_key, signed
from merlin_popsampler.errors import PopSamplerError

from .tracing import in_vectorized_loop

_PHILOX = 1
_SHIFTS = (8, 0, 0)
"""The op advances the counter by 2**8 for each batch."""


def add_stream(layer: Any, seed: Optional[int]) -> Any:
    """Adds the weight of the stream to a layer.

    Each replica advances its own copy, without communication. A saved model holds that of the first
    replica. A mirrored variable would merge the replicas, which TensorFlow rejects inside a nested
    `tf.function`, such as the scorer of Merlin Models.

    Args:
      layer: the Keras layer, of Keras 2 or 3, that owns the weight.
      seed: seed of the stream; None chooses a key at the first draw.
    """
    start = (0, 1, 0) if seed is None else (0, 0, first_key(seed))
    if _keras3():  # its add_weight does not support ON_READ
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
        shape=(3,),
        dtype=tf.int64,
        initializer=tf.constant_initializer(start),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


def check_backend() -> None:
    """Raises an error for Keras 3 on another backend, which does not use TensorFlow's tensors.

    Raises:
      PopSamplerError: Keras uses another backend.
    """
    if _keras3() and tf.keras.config.backend() != "tensorflow":
        raise PopSamplerError(
            "Expected Keras on the backend 'tensorflow'. Received: "
            f"{tf.keras.config.backend()!r}. Set KERAS_BACKEND=tensorflow before Keras is imported."
        )


def next_position(
    stream: Any, key_at_start: int, shared: bool, choose_key: bool
) -> Tuple[tf.Tensor, tf.Tensor]:
    """Returns the key and the position of the next batch, and advances the stream.

    Args:
      stream: the weight of `add_stream`.
      key_at_start: key, int64, for a stream that has no key yet.
      shared: whether all replicas and workers draw the same ids. Otherwise each has its own stream.
      choose_key: whether the stream stores `key_at_start` if it has no key yet. A vectorized loop
        cannot store it.

    Returns:
      Two uint64 scalars.

    Raises:
      PopSamplerError: a shared stream was created outside of the strategy of the replicas.
    """
    variable = _local(stream, shared)
    state = tf.raw_ops.RngReadAndSkip(
        resource=variable.handle, alg=_PHILOX, delta=tf.constant(1, tf.uint64)
    )
    # For few ids the number of ops determines the time, so this uses few of them.
    state = tf.bitwise.right_shift(tf.cast(state, tf.uint64), tf.constant(_SHIFTS, tf.uint64))
    position, unseeded, key = tf.unstack(state)
    key += unseeded * np.uint64(key_at_start % 2**64)  # an unseeded stream's key is 0
    if choose_key and not in_vectorized_loop():  # a loop cannot write; a later draw does
        # Leaves the counter, which another thread may advance; all threads write the same key.
        value = tf.stack([0, tf.cast(key, tf.int64)])
        chosen = tf.raw_ops.ResourceStridedSliceAssign(
            ref=variable.handle, begin=[1], end=[3], strides=[1], value=value
        )
        with tf.control_dependencies([chosen]):
            position = tf.identity(position)
    return key if shared else _own_key(key), position


def _keras3() -> bool:
    return hasattr(tf.keras, "Variable")


def tf_variable(weight: Any) -> Any:
    """Returns the TensorFlow variable of a layer's weight."""
    return weight.value if _keras3() else weight


def _local(stream: Any, shared: bool) -> Any:
    """Returns the TensorFlow variable that holds the stream of this replica."""
    variable = tf_variable(stream)
    strategy = tf.distribute.get_strategy()
    if not isinstance(variable, tf.distribute.DistributedValues):
        several = tf.distribute.has_strategy() and len(strategy.extended.worker_devices) > 1
        if shared and several:
            raise PopSamplerError(
                "Expected a sampler with share_across_replicas=True to be built in the scope of "
                "the strategy, where each replica gets a copy of its stream. Received: one built "
                f"outside of {type(strategy).__name__}.scope(). Build the sampler inside the scope."
            )
        return variable
    if tf.distribute.get_replica_context() is None:
        return strategy.experimental_local_results(variable)[0]
    return variable


def first_key(seed: Optional[int]) -> int:
    """Returns the key of a seed in `[-2**63, 2**63)`.

    For None, the seed comes from `tf.random.set_seed` or from the system. TensorFlow's seed is read
    eagerly, also during a trace. So a seed that is set before the first draw gives the same key in
    eager mode and in a graph.
    """
    if seed is not None:
        return seed_key(seed)
    with tf.init_scope():
        seeds = tf.compat.v1.get_seed(None)
    if seeds[0] is None:
        return signed(secrets.randbits(64))
    return seed_key(mixed(int(seeds[0])) + int(seeds[1]))


def _own_key(key: tf.Tensor) -> tf.Tensor:
    """Returns the key of this replica of this worker; for the first one, the key itself."""
    context = tf.distribute.get_replica_context()
    replica = 0 if context is None else context.replica_id_in_sync_group
    # Replica ids count across the workers of a strategy; Horovod's processes know no strategy.
    horovod = sys.modules.get("horovod.tensorflow")
    worker = horovod.rank() if horovod is not None and horovod.is_initialized() else 0
    if worker == 0 and tf.get_static_value(replica) == 0:
        return key
    return key ^ own_bits(tf.cast(replica, tf.uint64), worker)
