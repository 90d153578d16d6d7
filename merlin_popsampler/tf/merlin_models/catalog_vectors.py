"""Finds the item vectors of an output of Merlin Models, for scores of the whole catalog."""

from typing import Any

from merlin.models.tf.outputs.classification import CategoricalTarget, EmbeddingTablePrediction

from merlin_popsampler.tf.item_table import item_vectors


def catalog_vectors(to_call: Any) -> Any:
    """Returns the vectors that training looks up, in the form that `score_catalog` takes.

    Args:
      to_call: the layer that scores: an object with `embeddings` and `embedding_lookup`, as in
        Merlin Models.
    """
    look_up = type(to_call).embedding_lookup
    if look_up is CategoricalTarget.embedding_lookup:
        return to_call.embeddings
    if look_up is EmbeddingTablePrediction.embedding_lookup:
        return item_vectors(to_call.table.table, to_call.table.input_dim)
    return to_call.embedding_lookup
