"""Ids as callers pass them: numbers, tensors, ragged tensors, inputs of a model in the making."""

from typing import Any

import tensorflow as tf

from merlin_popsampler.errors import PopSamplerError


def is_symbolic(ids: Any) -> bool:
    """Whether ids are an input of a functional Keras model, which has no values yet.

    What is computed from such an input outside of a layer may be computed once, when the model is
    built, and be a constant ever after.
    """
    if hasattr(tf.keras, "KerasTensor"):
        return isinstance(ids, tf.keras.KerasTensor)
    try:
        return bool(tf.keras.backend.is_keras_tensor(ids))
    except ValueError:  # Keras 2 asks for a tensor to begin with
        return False


def integers(ids: Any) -> Any:
    """Ids as a tensor, or a ragged tensor, of integers of any width.

    Raises:
      PopSamplerError: no tensor of integers.
    """
    if not isinstance(ids, tf.RaggedTensor):
        ids = _tensor(ids)
    if not ids.dtype.is_integer:
        raise PopSamplerError(
            f"Expected integer ids. Received: {ids.dtype.name}. Cast whole numbers to int64, and "
            "encode words."
        )
    return ids


def _tensor(ids: Any) -> tf.Tensor:
    if ids is None or isinstance(ids, tf.SparseTensor):
        raise PopSamplerError(
            f"Expected ids in a dense or a ragged tensor. Received: {type(ids).__name__}. "
            "Pass tf.sparse.to_dense(ids), whose padding 0 gets no correction, or the ids' values."
        )
    try:
        return tf.convert_to_tensor(ids)
    except (TypeError, ValueError, OverflowError) as error:
        raise PopSamplerError(
            f"Expected a tensor of ids. Received: {type(ids).__name__} ({error}). "
            "Pass integers of one type and shape."
        ) from None
