"""Converts training sessions to TensorFlow examples: queries and positives."""

from typing import Any, Dict, Optional, Tuple

import tensorflow as tf
from merlin.schema import Schema
from splits import ENDED, ITEM

from merlin_popsampler.tf.merlin_models import ItemFeatures

READ = "session_items"
"""Name of the column of ids that a query reads."""


class Examples:
    """Transforms batches of Merlin's Loader: whole sessions, and their items as positives.

    It removes held-out sessions, then reserved ids, then sessions with fewer than two items.

    Args:
      until: `ended` of the last session that trains.
      min_id: first id that stands for an item.
      first: position of the first item of a session that is a positive.
      features: features of all items. If given, those of the positives become features of the
        batch, and there are no targets.
    """

    def __init__(
        self, until: int, min_id: int, first: int, features: Optional[ItemFeatures] = None
    ) -> None:
        self.until, self.min_id, self.first, self.features = until, min_id, first, features
        self._traced: Any = None

    def compute_output_schema(self, schema: Schema) -> Schema:
        return schema.select_by_name([ITEM])

    def __call__(self, inputs: Dict[str, tf.Tensor], targets: Any = None) -> Tuple[Any, tf.Tensor]:
        if self._traced is None:  # eager is slow, and so is a search for a trace of each new shape
            specs = {
                name: tf.TensorSpec([None, *value.shape[1:]], value.dtype)
                for name, value in inputs.items()
            }
            self._traced = tf.function(self._examples, input_signature=[specs])
        found: Tuple[Any, tf.Tensor] = self._traced(inputs)
        return found

    def _examples(self, inputs: Dict[str, tf.Tensor]) -> Tuple[Any, tf.Tensor]:
        values = tf.reshape(inputs[f"{ITEM}__values"], [-1])
        sessions = tf.RaggedTensor.from_row_splits(values, inputs[f"{ITEM}__offsets"])
        sessions = tf.ragged.boolean_mask(sessions, tf.reshape(inputs[ENDED], [-1]) <= self.until)
        sessions = tf.ragged.boolean_mask(sessions, sessions >= self.min_id)
        sessions = tf.ragged.boolean_mask(sessions, sessions.row_lengths() > 1)
        read = {f"{READ}__values": sessions.values, f"{READ}__offsets": sessions.row_splits}
        positives = sessions[:, self.first :].values
        if self.features is None:
            return read, positives[:, None]
        return {**read, **self.features.features(positives)}, None
