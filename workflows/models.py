"""The models of train.py: what asks for items, and the table of the items to find.

In training, a query layer gives a vector for each item of a session that serves as a positive, in
their order; otherwise one vector a session, which asks for what is not in it. So a batch costs as
much as it holds items, where a copy of the session for each of them would cost their square.
"""

from typing import Any, Dict, List

import merlin.models.tf as mm
import numpy as np
import pandas as pd
import tensorflow as tf
from evaluate import Array, Scorer
from merlin.schema import ColumnSchema, Schema
from sessions import ITEM

from merlin_popsampler import PopularityBasedSampler, PopularityMetadata

MODELS = ("retrieval", "session")
DROPOUT = 0.3
_registered = tf.keras.utils.register_keras_serializable(package="popsampler.workflows")


@_registered
class MeanOfOthers(tf.keras.layers.Layer):  # type: ignore[misc]
    """The mean of a session's item vectors; in training, for each item, that of the others.

    From ragged `[sessions, (items), dim]` to `[sessions, dim]`, in training `[items, dim]`. There
    every session must have two items or more.
    """

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tf.TensorShape([None, input_shape[-1]])

    def call(self, items: tf.RaggedTensor, training: bool = False) -> tf.Tensor:
        sums = tf.reduce_sum(items, axis=1)
        lengths = tf.cast(items.row_lengths(), sums.dtype)[:, None]
        if not training:
            return sums / lengths
        session = items.value_rowids()
        return (tf.gather(sums, session) - items.values) / (tf.gather(lengths, session) - 1)


@_registered
class NextItem(tf.keras.layers.Layer):  # type: ignore[misc]
    """A recurrent network's state after a session's last item; in training, after each other one.

    From ragged `[sessions, (items), dim + 1]`, rows of the table of the items to find whose log
    popularity is not read, to `[sessions, dim]`, in training `[items - sessions, dim]`.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reader = tf.keras.layers.GRU(dim, return_sequences=True)

    def get_config(self) -> Dict[str, Any]:
        return {**super().get_config(), "dim": self.reader.units}

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tf.TensorShape([None, self.reader.units])

    def call(self, items: tf.RaggedTensor, training: bool = False) -> tf.Tensor:
        # One step more than the longest session has: a batch may have none left to read.
        padded = tf.pad(items.to_tensor()[..., :-1], [[0, 0], [0, 1], [0, 0]])
        lengths, steps = items.row_lengths(), tf.shape(padded)[1]
        states = self.reader(padded, mask=tf.sequence_mask(lengths, steps))
        if training:
            return tf.boolean_mask(states, tf.sequence_mask(lengths - 1, steps))
        return tf.gather(states, lengths - 1, batch_dims=1)


@_registered
class WithOne(tf.keras.layers.Layer):  # type: ignore[misc]
    """Vectors with a 1 behind them, which meets the items' log popularity in the dot product."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tf.TensorShape([input_shape[0], input_shape[-1] + 1])

    def call(self, vectors: tf.Tensor) -> tf.Tensor:
        return tf.pad(vectors, [[0, 0], [0, 1]], constant_values=1.0)


def popular_items(item: ColumnSchema, popularity: PopularityMetadata, dim: int) -> Any:
    """A table of items to find `[cardinality, dim + 1]` that at first finds the popular ones.

    Its last column holds the logarithms of the items' shares, and the others start near 0: a model
    of little data need not learn popularity, and has it to fall back on.
    """
    domain = popularity.domain
    table = tf.random.uniform([domain.cardinality, dim + 1], -0.05, 0.05).numpy()
    shares = popularity.law().prob(np.arange(domain.size))
    table[:, -1] = np.log(shares[-1])
    table[domain.min_id :, -1] = np.log(shares)
    return mm.EmbeddingTable.from_pretrained(pd.DataFrame(table), col_schema=item)


def build_model(
    name: str, schema: Schema, sampler: PopularityBasedSampler, items: mm.EmbeddingTable
) -> Any:
    """The model of that name: its query layer, against the table of items to find."""
    dim = items.dim - 1
    if name == "retrieval":
        read, query = mm.Embeddings(schema, dim=dim, sequence_combiner=None), MeanOfOthers()
    else:
        read, query = items, NextItem(dim)
    inputs = mm.InputBlockV2(schema, categorical=read)
    output = mm.ContrastiveOutput(
        to_call=items, negative_samplers=sampler, logq_sampling_correction=True
    )
    encoder = mm.Encoder(inputs, query, tf.keras.layers.Dropout(DROPOUT), WithOne())
    return mm.RetrievalModelV2(query=encoder, output=output)


def model_scorer(model: Any, items: mm.EmbeddingTable) -> Scorer:
    """Scores of all ids: the queries' vectors times theirs."""

    def score(queries: List[Array]) -> Array:
        offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in queries])])
        features = {
            f"{ITEM}__values": tf.constant(np.concatenate(queries)),
            f"{ITEM}__offsets": tf.constant(offsets),
        }
        scores: Array = tf.matmul(
            model.encoder(features), items.table.embeddings, transpose_b=True
        ).numpy()
        return scores

    return score
