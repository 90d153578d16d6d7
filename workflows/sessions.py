"""The sessions that preprocess.py wrote: which train, which are held out, and what they ask for."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import tensorflow as tf
from evaluate import Array
from merlin.schema import Schema

from merlin_popsampler import PopSamplerError
from merlin_popsampler.tf.merlin_models import ItemFeatures

ITEM = "item_id"
READ = "session_items"
"""The column of ids that a query reads, beside the ids to find."""
ENDED = "ended"
HELD_OUT = 0.1
"""Share of the training sessions, the last to end, that say when to stop."""
MOST_HELD_OUT = 5000
"""So many tell it well enough, and are quickly scored."""


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


def read_sessions(folder: Path, after: int = -1) -> List[Array]:
    """Lists of ids of the sessions in a folder whose `ended` is greater than `after`."""
    ids: List[Array] = _read(folder, filters=[(ENDED, ">", after)])[ITEM].tolist()
    return ids


def last_to_train(folder: Path) -> int:
    """`ended` of the last training session; those that ended later are held out."""
    ended = np.sort(_read(folder, columns=[ENDED])[ENDED])
    held_out = min(MOST_HELD_OUT, max(1, int(HELD_OUT * len(ended))))
    if held_out == len(ended):
        raise PopSamplerError(
            f"Expected two or more sessions in {folder}, since one is held out. "
            f"Received: {len(ended)}. Give workflows/preprocess.py more rows."
        )
    return int(ended[-held_out - 1])


def _read(folder: Path, **options: Any) -> pd.DataFrame:
    parts = sorted(folder.glob("*.parquet"))
    found = pq.read_schema(parts[0]).names if parts else "none"
    if not {ITEM, ENDED} <= set(found):
        raise PopSamplerError(
            f"Expected parquet files with {ITEM!r} and {ENDED!r} in {folder}. Received: {found}. "
            "Run workflows/preprocess.py first, with this folder's parent as its --output."
        )
    return pd.concat([pd.read_parquet(part, **options) for part in parts])
