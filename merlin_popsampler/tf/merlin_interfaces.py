"""Builds the results that the two sampler interfaces of Merlin Models expect.

`MatrixFactorizationModel(samplers=...)` takes an `ItemSampler`, and
`ContrastiveOutput(negative_samplers=...)` a `CandidateSampler`. This module imports Merlin Models
only for an `ItemSampler`. As a `CandidateSampler`, it returns the type of its argument.
"""

import functools
from typing import Any

import tensorflow as tf

from merlin_popsampler.errors import PopSamplerError


def is_candidate(inputs: Any) -> bool:
    """Tests whether inputs are a `Candidate`, the argument of a `CandidateSampler`."""
    return {"id", "metadata", "sampling_prob"} <= set(getattr(inputs, "_fields", ()))


def sampled_candidate(candidate: Any, ids: tf.Tensor, max_id: int) -> Any:
    """Returns a candidate of the same type that holds only the sampled ids, `[num_sampled, 1]`."""
    column = tf.expand_dims(_ids_like(ids, candidate.id, max_id), -1)
    return _comparable(candidate)._replace(id=column, metadata={}, sampling_prob=None)


def candidate_with_counts(candidate: Any, expected_count: tf.Tensor) -> Any:
    """Returns a copy of the candidate with expected counts as its `sampling_prob`.

    Args:
      candidate: the `Candidate`.
      expected_count: float32 of the shape of `candidate.id`.
    """
    return _comparable(candidate)._replace(sampling_prob=expected_count)


def sampled_embeddings(item_weights: Any, ids: tf.Tensor, name: str) -> Any:
    """Builds the result of an `ItemSampler`.

    Args:
      item_weights: embedding table `[max_id + 1 or more, dim]`.
      ids: int64 `[num_sampled]`.
      name: key of the ids in the metadata.

    Returns:
      An `EmbeddingWithMetadata`: embeddings `[num_sampled, dim]`, and metadata `{name: ids}`.
    """
    from merlin.models.tf.core.base import EmbeddingWithMetadata

    return EmbeddingWithMetadata(tf.nn.embedding_lookup(item_weights, ids), {name: ids})


def like_batch(answer: Any, inputs: Any, name: str, max_id: int) -> Any:
    """Casts the result of an `ItemSampler` to the dtypes of the batch.

    Merlin Models concatenates both.
    """
    # Under mixed precision the table is float32, but the embeddings of the batch are not.
    embeddings = tf.cast(answer.embeddings, inputs["embeddings"].dtype)
    ids = _ids_like(answer.metadata[name], inputs["metadata"][name], max_id)
    return type(answer)(embeddings, {name: ids})


def check_item_weights(item_weights: Any, cardinality: int) -> None:
    """Raises an error for an embedding table without a row for each id."""
    rows = None if item_weights is None else tf.TensorShape(item_weights.shape)[0]
    if item_weights is None or (rows is not None and rows < cardinality):
        raise PopSamplerError(
            f"Expected item_weights with at least {cardinality} rows, max_id + 1, since max_id "
            f"itself is drawn. Received: {'none' if item_weights is None else f'{rows} rows'}. "
            "Pass the item embedding table, and as max_id the last item's id, not the cardinality."
        )


def check_inputs(inputs: Any, name: str) -> None:
    """Raises an error for inputs that are not those of an `ItemSampler`."""
    if set(inputs) != {"embeddings", "metadata"} or name not in inputs["metadata"]:
        metadata = inputs.get("metadata", {})
        raise PopSamplerError(
            f"Expected inputs of 'embeddings' and 'metadata' with the item ids as {name!r}. "
            f"Received: {sorted(inputs)} with metadata {sorted(metadata)}. "
            "Name the item id's column in item_id_feature_name."
        )


def check_no_squeeze(batch: Any, num_sampled: int) -> None:
    """Raises an error for a single row or sample, since Merlin Models squeezes that dimension.

    Args:
      batch: a tensor whose first dimension is the rows of the batch.
      num_sampled: number of ids to be sampled.

    Raises:
      PopSamplerError: there is one row, or one sample.
    """
    rows = tf.TensorShape(batch.shape)[:1].as_list() if batch.shape.rank else [1]
    if num_sampled == 1 or rows == [1]:
        raise PopSamplerError(
            "Expected at least 2 samples and 2 rows in a batch, since Merlin Models squeezes a "
            f"single row or column of scores. Received: max_num_samples={num_sampled}, "
            f"{rows[0]} rows. Draw more, drop the incomplete last batch, or use sample_ids()."
        )


def _ids_like(ids: tf.Tensor, like: Any, max_id: int) -> tf.Tensor:
    """Casts ids to the dtype of `like`, if that dtype holds all ids."""
    dtype = like.dtype
    return tf.cast(ids, dtype) if dtype.is_integer and dtype.max >= max_id else ids


def _comparable(candidate: Any) -> Any:
    """Converts the candidate to a subclass of its type that compares by identity.

    Merlin Models uses `!=` to test whether the sampled candidate *is* the positive one, and tuples
    would compare tensors. Python calls the method of the subclass on either side.
    """
    candidate_type: Any = type(candidate)
    return _by_identity(candidate_type)(*candidate)


@functools.lru_cache(maxsize=None)
def _by_identity(candidate_type: Any) -> Any:
    if getattr(candidate_type, "compares_by_identity", False):
        return candidate_type
    members = {
        "__slots__": (),
        "__eq__": lambda self, other: self.id is other.id,
        "__ne__": lambda self, other: self.id is not other.id,
        "__hash__": lambda self: id(self.id),
        "compares_by_identity": True,
    }
    # With the same name, tf.nest treats both as one structure.
    return type(candidate_type.__name__, (candidate_type,), members)
