"""Looks up the vectors of items in an embedding layer or a tensor."""

from contextlib import contextmanager
from typing import Any, Callable, Iterator, List

import tensorflow as tf

from merlin_popsampler.contract.negatives import width_error
from merlin_popsampler.errors import PopSamplerError

from .tracing import in_vectorized_loop


def item_vectors(item_table: Any, cardinality: int) -> Any:
    """Converts an item table to the form that `score_catalog` and `look_up` take.

    Args:
      item_table: a tensor or variable `[cardinality or more, dim]`, or a layer that has one as its
        `embeddings`.
      cardinality: minimum number of rows.

    Returns:
      A tensor or variable whose row `id` is the vector of an item. If the call of a layer does more
      than look up rows, the result is that call, from ids `[n]` to vectors `[n, dim]`.

    Raises:
      PopSamplerError: the table has another type or too few rows.
    """
    table = getattr(item_table, "embeddings", item_table)
    # The inner variable of a Keras 3 variable has a sparse gradient.
    table = table.value if isinstance(table, _KERAS_VARIABLE) else table
    shape = tf.TensorShape(getattr(table, "shape", None))
    if shape.rank != 2 or shape[0] is None or shape[0] < cardinality:
        raise PopSamplerError(
            f"Expected item vectors [rows, dim] with at least {cardinality} rows, max_id + 1. "
            f"Received: {type(item_table).__name__} of shape {shape}. "
            "Pass the Embedding layer of the items, made with input_dim=max_id + 1. For an item "
            "tower, pass a subclass of Embedding whose call maps ids to vectors."
        )
    is_plain = not isinstance(item_table, tf.keras.layers.Layer) or _only_looks_up(item_table)
    return table if is_plain else _called(item_table)


def look_up(vectors: Any, ids: tf.Tensor) -> tf.Tensor:
    """Looks up the vectors of ids, `[n, dim]`.

    Args:
      vectors: the result of `item_vectors`.
      ids: integers `[n]`.
    """
    return vectors(ids) if callable(vectors) else tf.nn.embedding_lookup(vectors, ids)


def check_width(queries: tf.Tensor, vectors: tf.Tensor) -> None:
    """Checks that queries and item vectors have as many components, if their shapes tell.

    Args:
      queries: `[rows, dim]`.
      vectors: `[n, dim]`.

    Raises:
      PopSamplerError: they have not.
    """
    if not tf.TensorShape(queries.shape)[-1:].is_compatible_with(vectors.shape[-1:]):
        raise width_error(queries.shape[-1], vectors.shape[-1])


def look_up_all(vectors: Any, *lists: tf.Tensor) -> List[tf.Tensor]:
    """Looks up the vectors of several lists of ids, with one row of the gradient for each id.

    Optimizers of Keras 3 need it: most of them square the rows of a sparse gradient before they sum
    those of an id, and so take a wrong step for an id that is repeated. In a vectorized loop, rows
    of an id are repeated: the number of distinct ids would differ between iterations.

    Args:
      vectors: the result of `item_vectors`.
      *lists: integers `[n]`.

    Returns:
      The vectors `[n, dim]` of each list.
    """
    if not _KERAS_VARIABLE or callable(vectors) or in_vectorized_loop():
        return [look_up(vectors, ids) for ids in lists]
    distinct, places = tf.unique(tf.concat(lists, 0))
    parts = tf.split(places, [tf.size(ids) for ids in lists])
    found = look_up(vectors, distinct)
    return [tf.gather(found, tf.ensure_shape(part, ids.shape)) for part, ids in zip(parts, lists)]


def _only_looks_up(layer: Any) -> bool:
    """Tests whether the call of a layer only looks up rows of its `embeddings`."""
    embedding = tf.keras.layers.Embedding
    inherited = all(
        getattr(type(layer), name) is getattr(embedding, name, None)
        for name in ("call", "__call__")
    )
    # In Keras 3, LoRA and quantization change the result of a call.
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
    """Discards the losses that a layer and its parts add to the model in this context.

    Inside a loop, such a loss would be a tensor of the loop's graph, which the model cannot use.
    """
    layers = list(layer._flatten_layers())  # noqa: SLF001 - no public name in Keras 2 and 3
    names = ("_losses", "_eager_losses")  # Keras 2 has both
    added = [getattr(each, name) for each in layers for name in names if hasattr(each, name)]
    before = [list(losses) for losses in added]
    yield
    for losses, kept in zip(added, before):
        losses[:] = kept


_KERAS_VARIABLE = getattr(tf.keras, "Variable", ())
"""The class of variables in Keras 3. Keras 2 uses that of TensorFlow."""
