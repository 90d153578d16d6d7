"""Maps item ids that are not in frequency order to ranks, by weights of a Keras layer."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Union

import numpy as np
import tensorflow as tf

from merlin_popsampler.core.checks import truncate_repr, whole_number
from merlin_popsampler.core.domain import IdDomain, MappedIds, id_domain
from merlin_popsampler.errors import PopSamplerError

from .stream import tf_variable
from .tracing import in_xla

_CONFIG = {"size", "checksum"}


def add_domain(
    layer: Any, min_id: Any, max_id: Any, item_ids: Any
) -> Union[IdDomain, MappedIdsInWeights]:
    """Builds the id domain of a layer, and adds weights to it if ids are not in frequency order.

    Args:
      layer: the Keras layer, of Keras 2 or 3, that owns the weights.
      min_id: smallest id of an item, inclusive.
      max_id: largest id of an item, inclusive.
      item_ids: integers `[items]`, the id of each rank; or None if the rank of an id is
        `id - min_id`; or the result of `config_of_ids`, if the weights will be loaded.

    Raises:
      PopSamplerError: `min_id` and `max_id` are not the smallest and the largest of `item_ids`, or
        a mapping is not a result of `config_of_ids`.
    """
    if not isinstance(item_ids, Mapping):
        domain = id_domain(min_id, max_id, item_ids)
        if isinstance(domain, IdDomain):
            return domain
        around = IdDomain(domain.min_id, domain.max_id)
        return MappedIdsInWeights(layer, around, domain.size, domain.checksum, domain)
    if set(item_ids) != _CONFIG:
        raise PopSamplerError(
            "Expected item_ids to be a flat list, the id of each rank. Received: a mapping with "
            f"{truncate_repr(sorted(map(str, item_ids)))}. Build the sampler with from_counts."
        )
    domain, advice = IdDomain(min_id, max_id), "Take the configuration as get_config gave it."
    size = whole_number("the number of item_ids", item_ids["size"], 1, advice, domain.cardinality)
    checksum = whole_number("the checksum of item_ids", item_ids["checksum"], 1, advice, 2**31 - 1)
    return MappedIdsInWeights(layer, domain, size, checksum)


def config_of_ids(domain: Any) -> Optional[Dict[str, int]]:
    """Returns `item_ids` for a layer's configuration: their number and checksum, or None.

    The ids themselves are weights of the layer.
    """
    if isinstance(domain, IdDomain):
        return None
    return {"size": domain.size, "checksum": domain.checksum}


class MappedIdsInWeights:
    """Maps ids to ranks and back, by non-trainable weights of a Keras layer; see `MappedIds`.

    A graph refers to the weights, and does not contain their values. A layer from a configuration
    has zeros until its weights are loaded. The checksum in the configuration detects weights of
    another layer.

    Args:
      layer: the layer that owns the weights.
      domain: the range of the ids.
      size: number of items.
      checksum: the checksum of `core.MappedIds`.
      items: the ids; None if the weights will be loaded.
    """

    # The ids are uint32, since TensorFlow keeps int32 variables on the host even if the rest of a
    # step runs on a GPU. The checksum is int32 for the same reason: assertions run on the host.

    def __init__(
        self,
        layer: Any,
        domain: IdDomain,
        size: int,
        checksum: int,
        items: Optional[MappedIds] = None,
    ) -> None:
        self.min_id, self.max_id = domain.min_id, domain.max_id
        self.size, self.cardinality = size, domain.cardinality
        self.checksum = checksum
        ids, after, loaded = (items.ids, items.ranks + 1, checksum) if items else (0, 0, 0)
        self._ids = _weight(layer, "item_ids", [size], "uint32", ids)
        self._ranks = _weight(layer, "item_ranks", [self.cardinality], "uint32", after)
        self._loaded = _weight(layer, "item_ids_checksum", [], "int32", loaded)

    @property
    def weights(self) -> List[Any]:
        """The weights that hold the ids."""
        return [self._ids, self._ranks, self._loaded]

    def contains(self, ids: Any) -> tf.Tensor:
        """Tests whether ids stand for an item, bool of their shape."""
        return self.rank(ids) >= 0

    def rank(self, ids: Any) -> tf.Tensor:
        """Maps ids to ranks, int64 of their shape; -1 for ids that are not items."""
        ids = tf.cast(ids, tf.int64)
        inside = (ids >= 0) & (ids < self.cardinality)
        with tf.control_dependencies(self._checks()):
            after = tf.gather(tf_variable(self._ranks), tf.where(inside, ids, 0))
        return tf.where(inside, tf.cast(after, tf.int64) - 1, -1)

    def id(self, ranks: Any) -> tf.Tensor:
        """Maps ranks to ids, int64 of their shape."""
        with tf.control_dependencies(self._checks()):
            return tf.cast(tf.gather(tf_variable(self._ids), ranks), tf.int64)

    def in_numpy(self) -> MappedIds:
        """Returns the same ids in NumPy."""
        self._checks()
        return MappedIds(tf_variable(self._ids).numpy())

    def _checks(self) -> List[Any]:
        """Checks that the weights are loaded, and belong to the items of the configuration.

        In eager mode it raises an error. In a graph it returns assertions, on which lookups depend.
        """
        error = PopSamplerError(
            f"Expected the weights of a layer over the {self.size} item ids that it was made for. "
            "Received: none yet, or those of other ids or of another order. Load the weights that "
            "were saved with the configuration (load_weights, set_weights), or build the layer "
            "with from_counts."
        )
        if not (tf.executing_eagerly() or in_xla()):
            return [
                tf.debugging.Assert(
                    tf.equal(tf_variable(self._loaded), self.checksum), [str(error)]
                )
            ]
        with tf.init_scope():  # XLA leaves assertions out
            loaded = tf.identity(tf_variable(self._loaded)).numpy()
        if loaded != self.checksum:
            raise error
        return []

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MappedIdsInWeights) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> Any:
        return self.min_id, self.max_id, self.size, self.checksum


def _weight(layer: Any, name: str, shape: Any, dtype: str, value: Any) -> Any:
    def initializer(shape: Any, **_: Any) -> tf.Tensor:
        return tf.broadcast_to(tf.constant(np.asarray(value, dtype)), shape)

    with tf.name_scope(layer.name):  # Keras 2's h5 files tell variables by their names
        weight = layer.add_weight(
            name=name, shape=shape, dtype=dtype, initializer=initializer, trainable=False
        )
    setattr(layer, name, weight)  # Keras 3 puts only attributes into checkpoints
    return weight
