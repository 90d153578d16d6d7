"""Converts ids to integer tensors, and detects inputs of functional Keras models."""

from typing import Any

import tensorflow as tf

from merlin_popsampler.errors import PopSamplerError


def is_symbolic(ids: Any) -> bool:
    """Tests whether ids are an input of a functional Keras model, which has no values yet.

    A value that is computed from such an input outside of a layer may become a constant of the
    model.
    """
    if hasattr(tf.keras, "KerasTensor"):
        return isinstance(ids, tf.keras.KerasTensor)
    try:
        return bool(tf.keras.backend.is_keras_tensor(ids))
    except ValueError:  # Keras 2 raises for other types than tensors
        return False


def integers(ids: Any, name: str = "") -> Any:
    """Converts ids to a dense or ragged tensor of integers.

    Args:
      ids: integers of any width and shape, as numbers, a list, an array or a tensor.
      name: name of the argument, for messages, if a call has several arguments with ids.

    Raises:
      PopSamplerError: the ids are not integers, or are sparse.
    """
    if not isinstance(ids, tf.RaggedTensor):
        ids = _tensor(ids, name)
    if not ids.dtype.is_integer:
        raise PopSamplerError(
            f"Expected integer ids{_as(name)}. Received: {ids.dtype.name}. Cast whole "
            "numbers to int64, and encode strings."
        )
    return ids


def _as(name: str) -> str:
    return f" as {name}" if name else ""


def _tensor(ids: Any, name: str) -> tf.Tensor:
    if ids is None or isinstance(ids, tf.SparseTensor):
        raise PopSamplerError(
            f"Expected ids in a dense or a ragged tensor{_as(name)}. Received: "
            f"{type(ids).__name__}. "
            "Pass integers. Of a sparse tensor, pass tf.sparse.to_dense(ids), whose padding 0 must "
            "not stand for an item, or ids.values."
        )
    try:
        return tf.convert_to_tensor(ids)
    except (TypeError, ValueError, OverflowError) as error:
        raise PopSamplerError(
            f"Expected a tensor of ids{_as(name)}. Received: {type(ids).__name__} ({error}). "
            "Pass integers of one type and shape."
        ) from None
