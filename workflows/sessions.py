"""The training sessions as TensorFlow's examples: what they read, and what they ask for."""

from typing import Any, Dict, Optional, Tuple

import tensorflow as tf
from merlin.schema import Schema
from splits import ENDED, ITEM

from merlin_popsampler.tf.merlin_models import ItemFeatures

READ = "session_items"
"""The column of ids that a query reads, beside the ids to find."""


class Examples:
    """A transform of Merlin's Loader: whole sessions, and their items as positives, in order.

    Left out are the sessions that are held out, ids that stand for no item, and then sessions that
    have fewer than two left.

    Args:
      until: `ended` of the last session that trains.
      min_id: first id that stands for an item.
      first: position of a session's first item that serves as a positive.
      features: of all items: those of the positives become features, and there are no targets.
    """

    def __init__(
        self, until: int, min_id: int, first: int, features: Optional[ItemFeatures] = None
    ) -> None:
        self.until, self.min_id, self.first, self.features = until, min_id, first, features

    def compute_output_schema(self, schema: Schema) -> Schema:
        return schema.select_by_name([ITEM])

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # eager is slow
    def __call__(self, inputs: Dict[str, tf.Tensor], targets: Any = None) -> Tuple[Any, tf.Tensor]:
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
