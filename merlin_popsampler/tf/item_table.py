"""The vectors of items, from a layer that looks them up or from a tensor that holds them."""

from contextlib import contextmanager
from typing import Any, Callable, Iterator

import tensorflow as tf

from merlin_popsampler.errors import PopSamplerError


def item_vectors(item_table: Any, cardinality: int) -> Any:
    """What `score_catalog` and `look_up` take as the items' vectors.

    Args:
      item_table: a tensor or variable `[cardinality or more, dim]`, or a layer that has one as its
        `embeddings`.
      cardinality: rows that it must have.

    Returns:
      A tensor or variable whose row `id` is the vector of an item. For a layer that does more in
      its call than look a row up, a function from ids `[n]` to vectors `[n, dim]`: the call.

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
    is_plain = not isinstance(item_table, tf.keras.layers.Layer) or _only_looks_up(item_table)
    return table if is_plain else _called(item_table)


def look_up(vectors: Any, ids: tf.Tensor) -> tf.Tensor:
    """Vectors `[n, dim]` of ids `[n]`, from what `item_vectors` returned."""
    return vectors(ids) if callable(vectors) else tf.nn.embedding_lookup(vectors, ids)


def _only_looks_up(layer: Any) -> bool:
    """Whether a layer's call gives the rows of its `embeddings`, and does nothing else."""
    embedding = tf.keras.layers.Embedding
    inherited = all(
        getattr(type(layer), name) is getattr(embedding, name, None)
        for name in ("call", "__call__")
    )
    # Keras 3 changes what a call gives by settings, under LoRA and quantization.
    settings = ("lora_enabled", "quantization_mode", "activity_regularizer")
    return inherited and not any(getattr(layer, name, None) for name in settings)


def _called(layer: Any) -> Callable[[tf.Tensor], tf.Tensor]:
    def vectors(ids: tf.Tensor) -> tf.Tensor:
        found = layer(ids)
        if not isinstance(found, tf.Tensor) or found.shape.rank not in (2, None):
            raise PopSamplerError(
                f"Expected {layer.name!r} to map ids [n] to vectors [n, dim]. Received: "
                f"{getattr(found, 'shape', type(found).__name__)}. Return a vector for each id "
                "from its call."
            )
        return found

    return vectors


@contextmanager
def losses_kept(layer: Any) -> Iterator[None]:
    """Keeps the losses that a layer and its parts have added to the model's as they are.

    What they add inside a loop is a tensor of the loop's graph, which the model's cannot reach.
    """
    layers = list(layer._flatten_layers())  # noqa: SLF001 - no public name in Keras 2 and 3
    names = ("_losses", "_eager_losses")  # Keras 2 has both
    added = [getattr(each, name) for each in layers for name in names if hasattr(each, name)]
    before = [list(losses) for losses in added]
    yield
    for losses, kept in zip(added, before):
        losses[:] = kept


_KERAS_VARIABLE = getattr(tf.keras, "Variable", ())
"""Keras 3's class of variables; Keras 2 has none of its own."""
