"""The item tower as an encoder of ids: of those that were sampled, and of the whole catalog."""

from typing import Any

import tensorflow as tf
from merlin.models.tf.utils.tf_utils import call_layer

from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.tf.item_table import losses_kept

from .item_features import required

BLOCK_ROWS = 4096
"""Items of a catalog that pass through the tower together."""


class ItemTower:
    """Vectors of ids by the model's own item tower.

    It is no part of a model, and neither are the features of items that it looks up, nor the
    vectors of the catalog that it keeps: Keras neither tracks nor saves them.

    Args:
      layer: the tower, or None where there is none yet.
      item_features: an `ItemFeatures`; None where the tower needs the id alone, or for now.
      domain: the sampler's, the ids that stand for an item.
      id_name: name of the item id among the tower's features.

    Raises:
      PopSamplerError: features that the table lacks, of the tower or of some ids.
    """

    def __init__(self, layer: Any, item_features: Any, domain: Any, id_name: str) -> None:
        if item_features is not None:
            item_features.check_serves(domain)
        if item_features is not None and layer is not None:
            item_features = item_features.select(layer)
        self._layer, self._features = layer, item_features
        self._domain, self._id_name = domain, id_name
        self._vectors = tf.Variable(tf.zeros([0, 0]), trainable=False, shape=[None, None])
        self._encoded = tf.Variable(False, trainable=False)

    @property
    def is_ready(self) -> bool:
        """Whether any id can be encoded."""
        return self._layer is not None and (self._features is not None or self._needs_id_alone)

    @property
    def _needs_id_alone(self) -> bool:
        return list(self._layer.schema.column_names) == [self._id_name]

    def encode(self, ids: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Vectors of ids of items.

        Args:
          ids: int64 `[n]`.
          training: whether the tower runs as in training.

        Returns:
          Floats `[n, dim]`, of the tower's dtype.

        Raises:
          PopSamplerError: no tower, or no features for it.
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
                "Pass it as candidate=tower, or, where the model has made it, call "
                "output.set_candidate(model.candidate_encoder)."
            )
        return self._layer

    def outdate(self) -> None:
        """Lets the catalog be encoded anew when its vectors are next asked for."""
        self._encoded.assign(False)

    def forget(self) -> None:
        """As `outdate`, and gives back the memory of the catalog's vectors."""
        self.outdate()
        self._vectors.assign(tf.zeros([0, 0]))

    def catalog(self, dim: int) -> tf.Tensor:
        """Vectors of the whole catalog: float32 `[max_id + 1, dim]`, zeros for reserved ids."""
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
