"""Encodes sampled ids, and the whole catalog, with the item tower of a model."""

from typing import Any

import tensorflow as tf
from merlin.models.tf.utils.tf_utils import call_layer

from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.tf.item_table import losses_kept

from .item_features import required

BLOCK_ROWS = 4096
"""Number of items of the catalog that are encoded at once."""


class ItemTower:
    """Computes item vectors from ids, with the item tower of a model.

    Keras neither tracks nor saves this object, its item features, or its cached vectors of the
    catalog.

    Args:
      layer: the tower; None if it is set later.
      item_features: an `ItemFeatures`; None if the tower needs only the id, or if it is set later.
      domain: the ids that stand for an item, the `domain` of the sampler.
      id_name: name of the item-id column among the tower's features.

    Raises:
      PopSamplerError: `item_features` lacks features of the tower or ids of the domain, or is not
        an `ItemFeatures`; or `layer` has no schema.
    """

    def __init__(self, layer: Any, item_features: Any, domain: Any, id_name: str) -> None:
        if layer is not None and not hasattr(layer, "schema"):
            raise PopSamplerError(
                "Expected candidate to be an item tower with a schema of its inputs. Received: "
                f"{type(layer).__name__}. Pass the Encoder of the items."
            )
        if item_features is not None:
            required(item_features).check_serves(domain)
        if item_features is not None and layer is not None:
            item_features = item_features.select(layer)
        self._layer, self._features = layer, item_features
        self._domain, self._id_name = domain, id_name
        self._vectors = tf.Variable(tf.zeros([0, 0]), trainable=False, shape=[None, None])
        self._encoded = tf.Variable(False, trainable=False)

    @property
    def is_ready(self) -> bool:
        """Whether the tower is set, and item features if it needs them."""
        return self._layer is not None and (self._features is not None or self._needs_id_alone)

    @property
    def _needs_id_alone(self) -> bool:
        return list(self._layer.schema.column_names) == [self._id_name]

    def encode(self, ids: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Computes vectors of item ids.

        Args:
          ids: int64 `[n]`.
          training: whether the tower runs as in training.

        Returns:
          Floats `[n, dim]`, of the tower's dtype.

        Raises:
          PopSamplerError: there is no tower, or no features for it.
        """
        layer = self._required_layer()
        if self._features is None and self._needs_id_alone:
            features = {self._id_name: tf.compat.v1.placeholder_with_default(ids, [None])}
        else:
            features = required(self._features).features(ids)
        return call_layer(layer, features, training=training, testing=not training)

    def _required_layer(self) -> Any:
        if self._layer is None:
            raise PopSamplerError(
                "Expected the item tower, by which sampled ids get their vectors. Received: none. "
                "Pass it as candidate=tower. If the model has created it, call "
                "output.set_candidate(model.candidate_encoder). After a failed fit, call "
                "model.compile too."
            )
        return self._layer

    def outdate(self) -> None:
        """Marks the vectors of the catalog as outdated, so that they are encoded again."""
        self._encoded.assign(False)

    def forget(self) -> None:
        """Marks the vectors of the catalog as outdated, and frees their memory."""
        self.outdate()
        self._vectors.assign(tf.zeros([0, 0]))

    def catalog(self, dim: int) -> tf.Tensor:
        """Returns vectors of the whole catalog, which are cached until `outdate` or `forget`.

        Args:
          dim: width of the vectors.

        Returns:
          float32 `[max_id + 1, dim]`; zeros for reserved ids.
        """
        vectors = tf.cond(
            self._encoded, self._vectors.read_value, lambda: self._encode_catalog(dim)
        )
        return tf.ensure_shape(vectors, [self._domain.cardinality, dim])

    def _encode_catalog(self, dim: int) -> tf.Tensor:
        layer, stop = self._required_layer(), self._domain.cardinality

        def encode_block(start: tf.Tensor) -> Any:
            end = tf.minimum(start + BLOCK_ROWS, stop)
            with losses_kept(layer):
                vectors = self.encode(tf.range(tf.cast(start, tf.int64), tf.cast(end, tf.int64)))
            self._vectors[start:end].assign(tf.cast(vectors, tf.float32))
            return [end]

        self._vectors.assign(tf.zeros([stop, dim]))
        tf.while_loop(lambda start: start < stop, encode_block, [self._domain.min_id])
        self._encoded.assign(True)
        return self._vectors.read_value()
