"""The vectors of items, from whatever holds them."""

from typing import Any

import tensorflow as tf

from merlin_popsampler.errors import PopSamplerError


def item_vectors(item_table: Any, cardinality: int) -> Any:
    """A tensor or variable `[cardinality or more, dim]` whose row `id` is the vector of an item.

    Args:
      item_table: such a thing itself, or a layer that has one as its `embeddings`.
      cardinality: rows that it must have.

    Raises:
      PopSamplerError: something else, or too few rows.
    """
    table = getattr(item_table, "embeddings", item_table)
    # A variable of Keras 3 holds TensorFlow's, whose gradient is as sparse as the look-up.
    table = table.value if isinstance(table, _KERAS_VARIABLE) else table
    shape = tf.TensorShape(getattr(table, "shape", None))
    if shape.rank != 2 or shape[0] is None or shape[0] < cardinality:
        raise PopSamplerError(
            f"Expected item vectors [rows, dim] with at least {cardinality} rows, max_id + 1. "
            f"Received: {type(item_table).__name__} of shape {shape}. "
            "Pass the Embedding layer of the items, made with input_dim=max_id + 1."
        )
    return table


_KERAS_VARIABLE = getattr(tf.keras, "Variable", ())
"""Keras 3's class of variables; Keras 2 has none of its own."""
