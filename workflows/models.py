"""Defines the models of train.py: query layers and tables of items.

In training, a query layer returns a vector for each item of a session that is a positive, in their
order. Otherwise it returns one vector for each session. So the cost of a batch is linear in its
number of items. A copy of the session for each positive would make it quadratic.
"""

from typing import Any, Dict, List, Optional

import merlin.models.tf as mm
import numpy as np
import pandas as pd
import tensorflow as tf
from evaluate import Array, Scorer
from merlin.schema import ColumnSchema, Schema, Tags
from sessions import READ
from splits import ITEM

from merlin_popsampler import PopularityMetadata
from merlin_popsampler.core.domain import PADDING_ID, IdDomain
from merlin_popsampler.tf.merlin_models import ContrastiveOutput, ItemFeatures
from merlin_popsampler.tf.merlin_models.item_tower import ItemTower

MODELS = ("retrieval", "session", "two-tower")
DROPOUT = 0.3
_registered = tf.keras.utils.register_keras_serializable(package="popsampler.workflows")


@_registered
class MeanOfOthers(tf.keras.layers.Layer):  # type: ignore[misc]
    """Averages the item vectors of a session; in training, the remaining ones for each item.

    The input is ragged, `[sessions, (items), dim]`, and the output `[sessions, dim]`. In training
    it is `[items, dim]`, and every session must have at least two items.

    Args:
      each: whether the layer returns a vector for each item outside of training as well. A
        two-tower model needs this, since it always compares queries with the items of the batch.
      **kwargs: arguments of a Keras layer.
    """

    def __init__(self, each: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.each = each

    def get_config(self) -> Dict[str, Any]:
        return {**super().get_config(), "each": self.each}

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tf.TensorShape([None, input_shape[-1]])

    def call(self, items: tf.RaggedTensor, training: bool = False) -> tf.Tensor:
        sums = tf.reduce_sum(items, axis=1)
        lengths = tf.cast(items.row_lengths(), sums.dtype)[:, None]
        if not (training or self.each):
            return sums / lengths
        session = items.value_rowids()
        return (tf.gather(sums, session) - items.values) / (tf.gather(lengths, session) - 1)


@_registered
class NextItem(tf.keras.layers.Layer):  # type: ignore[misc]
    """Returns a recurrent state after the last item; in training, after each item before it.

    The input is ragged, `[sessions, (items), dim + 1]`: rows of the item table, whose last column,
    the log popularity, is not read. The output is `[sessions, dim]`, in training
    `[items - sessions, dim]`.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reader = tf.keras.layers.GRU(dim, return_sequences=True)

    def get_config(self) -> Dict[str, Any]:
        return {**super().get_config(), "dim": self.reader.units}

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tf.TensorShape([None, self.reader.units])

    def call(self, items: tf.RaggedTensor, training: bool = False) -> tf.Tensor:
        # One step more than the longest session, since a batch may have no item to read.
        read = items.with_values(items.values[:, :-1])
        padded = tf.pad(read.to_tensor(), [[0, 0], [0, 1], [0, 0]])
        lengths, steps = items.row_lengths(), tf.shape(padded)[1]
        # Without a mask, which costs a third more: padding comes after all items that are read.
        states = self.reader(padded)
        if training:
            return tf.boolean_mask(states, tf.sequence_mask(lengths - 1, steps))
        return tf.gather(states, lengths - 1, batch_dims=1)


@_registered
class WithOne(tf.keras.layers.Layer):  # type: ignore[misc]
    """Appends a 1 to vectors, the factor of the log popularity in the dot product."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tf.TensorShape([input_shape[0], input_shape[-1] + 1])

    def call(self, vectors: tf.Tensor) -> tf.Tensor:
        return tf.pad(vectors, [[0, 0], [0, 1]], constant_values=1.0)


def popular_items(item: ColumnSchema, popularity: PopularityMetadata, dim: int) -> Any:
    """Builds a table of items, `[cardinality, dim + 1]`, that initially ranks by popularity.

    Its last column holds the logarithms of the shares of the items. The remaining columns start
    near 0. So a model need not learn popularity, also on little data.
    """
    domain = popularity.domain
    table = tf.random.uniform([domain.cardinality, dim + 1], -0.05, 0.05).numpy()
    shares = popularity.distribution().prob(np.arange(domain.size))
    table[:, -1] = np.log(shares[-1])
    table[domain.min_id :, -1] = np.log(shares)
    return mm.EmbeddingTable.from_pretrained(pd.DataFrame(table), col_schema=item)


def build_model(
    name: str,
    schema: Schema,
    negatives: Any,
    popularity: PopularityMetadata,
    dim: int,
    item_schema: Optional[Schema] = None,
    features: Optional[ItemFeatures] = None,
) -> Any:
    """Builds the model of a name.

    Args:
      name: a name in `MODELS`.
      schema: schema of the sessions, with the list of item ids.
      negatives: see `ContrastiveOutput`.
      popularity: popularity of the items.
      dim: width of the vectors, without the log popularity.
      item_schema: schema of the ids and features of items, for "two-tower".
      features: features of all items, for "two-tower".
    """
    item = schema.select_by_name([ITEM])
    items = popular_items(item[ITEM], popularity, dim)
    inputs = Schema([item[ITEM].with_name(READ)])
    if name == "session":
        items.add_feature(inputs[READ])
        read, query = items, NextItem(dim)
    else:
        read = mm.Embeddings(inputs, dim=dim, sequence_combiner=None)
        query = MeanOfOthers(each=item_schema is not None)
    encoder = mm.Encoder(
        mm.InputBlockV2(inputs, categorical=read),
        query,
        tf.keras.layers.Dropout(DROPOUT),
        WithOne(),
    )
    if item_schema is None:
        return mm.RetrievalModelV2(query=encoder, output=ContrastiveOutput(items, negatives))
    tower = item_tower(item_schema, items)
    output = ContrastiveOutput(
        None, negatives, schema=item, candidate=tower, item_features=features
    )
    return mm.TwoTowerModelV2(encoder, tower, outputs=output)


def item_tower(schema: Schema, items: mm.EmbeddingTable) -> mm.Encoder:
    """Computes the vector of an item: its row of the table plus a vector of each feature.

    So a rare item shares what is learned about similar items, and a frequent item can deviate.
    """
    numbers = schema.select_by_tag(Tags.CONTINUOUS)
    tables = {
        column.name: mm.EmbeddingTable(items.dim, column, sequence_combiner="mean")
        for column in schema.remove_col(ITEM)
        if column.name not in numbers.column_names
    }
    parts = {ITEM: items, **tables}
    if numbers:
        weights = tf.keras.layers.Dense(items.dim, use_bias=False, kernel_initializer="zeros")
        parts["numbers"] = mm.ContinuousProjection(numbers, weights)
    inputs = mm.ParallelBlock(parts, schema=schema, aggregation="element-wise-sum", is_input=True)
    return mm.Encoder(inputs)


def model_scorer(model: Any, features: Optional[ItemFeatures], domain: IdDomain) -> Scorer:
    """Returns a scorer of the current model: the product of query and item vectors."""
    encoder, tower = model.encoder, None
    if features is not None:
        encoder = model.query_encoder
        tower = ItemTower(model.candidate_encoder, features, domain, ITEM)

    def score(queries: List[Array]) -> Array:
        if tower is not None:  # the query is all items but the last: append a dummy
            queries = [np.append(ids, PADDING_ID) for ids in queries]
        offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in queries])])
        asking = encoder(
            {
                f"{READ}__values": tf.constant(np.concatenate(queries)),
                f"{READ}__offsets": tf.constant(offsets),
            }
        )
        if tower is None:
            items = model.last.to_call.embeddings
        else:
            asking, items = tf.gather(asking, offsets[1:] - 1), tower.catalog(asking.shape[-1])
        scores: Array = tf.matmul(asking, items, transpose_b=True).numpy()
        return scores

    return score
