"""A stream of random draws as a weight of a Keras layer: what to draw next, and who draws what.

The weight is int64 `[counter, unseeded, key]`, the state of TensorFlow's Philox generator: 256
times the number of the next batch, 1 while no key is chosen yet, and the key. As a weight,
Checkpoint, SavedModel, `.keras` and `.weights.h5` carry it, and a restored run draws on where it
stopped.

A batch is taken from the stream in one place, by one op that reads and moves it at once
(`RngReadAndSkip`), and the draw depends on what it read: so no two threads, steps or iterations get
the same batch, in whatever kind of graph. A trace moves nothing, since moving on is part of the
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
"""The op moves the counter by 2**8 for each batch."""


def add_stream(layer: Any, seed: Optional[int]) -> Any:
    """The stream's weight, as part of the layer.

    Each replica moves a copy of its own, without asking the others; a saved model holds the first
    one's. (A mirrored variable would want to merge the replicas, which TensorFlow refuses inside a
    nested `tf.function`, such as Merlin Models' scorer.)

    Args:
      layer: the Keras layer, of Keras 2 or 3, that will own the weight.
      seed: key of the stream; None leaves the choice to the first draw.
    """
    start = (0, 1, 0) if seed is None else (0, 0, first_key(seed))
    if _keras3():  # its add_weight cannot say ON_READ
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
    """Refuses Keras 3 on another backend, whose tensors and variables are not TensorFlow's.

    Raises:
      PopSamplerError: that backend's name.
    """
    if _keras3() and tf.keras.config.backend() != "tensorflow":
        raise PopSamplerError(
            "Expected Keras on the backend 'tensorflow'. Received: "
            f"{tf.keras.config.backend()!r}. Set KERAS_BACKEND=tensorflow before Keras is imported."
        )


def next_position(
    stream: Any, key_at_start: int, shared: bool, choose_key: bool
) -> Tuple[tf.Tensor, tf.Tensor]:
    """Key and position of the next batch; takes that batch from the stream.

    Args:
      stream: the weight of `add_stream`.
      key_at_start: key, int64, for a stream that has none yet.
      shared: whether all replicas and workers draw the same ids, or each a stream of its own.
      choose_key: whether the stream keeps `key_at_start` from now on, if it has none; in a
        vectorized loop it does not.

    Returns:
      Two uint64 scalars.

    Raises:
      PopSamplerError: a stream to be shared by replicas that are not its own.
    """
    variable = _local(stream, shared)
    state = tf.raw_ops.RngReadAndSkip(
        resource=variable.handle, alg=_PHILOX, delta=tf.constant(1, tf.uint64)
    )
    # A batch of few ids takes as long as its number of ops: this is for few of them.
    state = tf.bitwise.right_shift(tf.cast(state, tf.uint64), tf.constant(_SHIFTS, tf.uint64))
    position, unseeded, key = tf.unstack(state)
    key += unseeded * np.uint64(key_at_start % 2**64)  # an unseeded stream's key is 0
    if choose_key and not in_vectorized_loop():  # where writes fail: a later draw will choose
        # Leaves the counter alone, which another thread may be moving; all write the same.
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
    """The TensorFlow variable of a layer's weight."""
    return weight.value if _keras3() else weight


def _local(stream: Any, shared: bool) -> Any:
    """The TensorFlow variable that holds the stream where this runs."""
    variable = tf_variable(stream)
    strategy = tf.distribute.get_strategy()
    if not isinstance(variable, tf.distribute.DistributedValues):
        several = tf.distribute.has_strategy() and len(strategy.extended.worker_devices) > 1
        if shared and several:
            raise PopSamplerError(
                "Expected a sampler that is shared across replicas to be made under their "
                "strategy, so that each has a copy of the stream. Received: one made outside of "
                f"{type(strategy).__name__}.scope(). Build the sampler inside the scope."
            )
        return variable
    if tf.distribute.get_replica_context() is None:
        return strategy.experimental_local_results(variable)[0]
    return variable


def first_key(seed: Optional[int]) -> int:
    """The key, `[-2**63, 2**63)`, of a seed; of None from `tf.random.set_seed` or the system.

    TensorFlow's seed is asked for eagerly, also during a trace, so that one set before the first
    draw gives the same key in eager mode and in a graph.
    """
    if seed is not None:
        return seed_key(seed)
    with tf.init_scope():
        seeds = tf.compat.v1.get_seed(None)
    if seeds[0] is None:
        return signed(secrets.randbits(64))
    return seed_key(mixed(int(seeds[0])) + int(seeds[1]))


def _own_key(key: tf.Tensor) -> tf.Tensor:
    """The key of this replica of this worker; the first one's is the key itself."""
    context = tf.distribute.get_replica_context()
    replica = 0 if context is None else context.replica_id_in_sync_group
    # Replica ids count across the workers of a strategy; Horovod's processes know no strategy.
    horovod = sys.modules.get("horovod.tensorflow")
    worker = horovod.rank() if horovod is not None and horovod.is_initialized() else 0
    if worker == 0 and tf.get_static_value(replica) == 0:
        return key
    return key ^ own_bits(tf.cast(replica, tf.uint64), worker)
