"""The vectors that an evaluation on the catalog takes from an output's table."""

from typing import Any

from merlin.models.tf.outputs.classification import CategoricalTarget, EmbeddingTablePrediction

from merlin_popsampler.tf.item_table import item_vectors


def catalog_vectors(to_call: Any) -> Any:
    """What `score_catalog` takes as the vectors of `to_call`: those that training looks up.

    Args:
      to_call: has `embeddings` and `embedding_lookup`, as Merlin Models' own have.
    """
    look_up = type(to_call).embedding_lookup
    if look_up is CategoricalTarget.embedding_lookup:
        return to_call.embeddings
    if look_up is EmbeddingTablePrediction.embedding_lookup:
        return item_vectors(to_call.table.table, to_call.table.input_dim)
    return to_call.embedding_lookup
