"""The models of train.py: what asks for items, and the table of the items to find.

In training, a query layer gives a vector for each item of a session that serves as a positive, in
their order; otherwise one vector a session, which asks for what is not in it. So a batch costs as
much as it holds items, where a copy of the session for each of them would cost their square.
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
    """The mean of a session's item vectors; in training, for each item, that of the others.

    From ragged `[sessions, (items), dim]` to `[sessions, dim]`, in training `[items, dim]`. There
    every session must have two items or more.

    Args:
      each: whether a vector for each item is what is wanted beside training, too: a two-tower
        model compares it with the item's own, whatever it is called for.
      **kwargs: Keras's arguments of a layer.
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
        # Without a mask, which costs a third more: what is padded comes after all that is read.
        states = self.reader(padded)
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
    """The model of that name.

    Args:
      name: one of `MODELS`.
      schema: of the sessions, with the list of item ids.
      negatives: what a `ContrastiveOutput` takes.
      popularity: of the items.
      dim: width of the vectors, beside their log popularity.
      item_schema: of the items' ids and features, for "two-tower".
      features: of all items, for "two-tower".
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
    """An item's vector: its own row of the table, plus a vector of each of its features.

    So a rare item starts from what is known of its like, and a common one goes its own way.
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
    """Scores of all ids by a model as it is now: the queries' vectors times theirs."""
    encoder, tower = model.encoder, None
    if features is not None:
        encoder = model.query_encoder
        tower = ItemTower(model.candidate_encoder, features, domain, ITEM)

    def score(queries: List[Array]) -> Array:
        if tower is not None:  # each item's others are the query: something to be the last
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
