"""Small item tables with columns of every kind, and a model that trains on one."""

from typing import Any, Dict, List, Optional

import numpy as np
import pandas as pd
import tensorflow as tf
from merlin.io import Dataset
from merlin.schema import ColumnSchema, Schema, Tags

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.tf.merlin_models.item_features import ItemFeatures, required
from merlin_popsampler.tf.merlin_models.saving import is_saving

MIN_ID = 3


def frame_of(items: int, seed: int = 17) -> pd.DataFrame:
    """Returns a frame with a row for each item, unsorted: numbers, and dense and ragged lists."""
    rng = np.random.default_rng(seed)
    lists = [rng.integers(1, 9, rng.integers(0, 4)) for _ in range(items)]
    return pd.DataFrame(
        {
            "item": rng.permutation(items) + MIN_ID,
            "color": rng.integers(1, 6, items).astype(np.int32),
            "price": rng.random(items).astype(np.float32),
            "tags": lists,
            "sizes": [rng.random(len(tags)) for tags in lists],
            "pair": list(rng.integers(1, 9, (items, 2))),
            "vector": list(rng.random((items, 2)).astype(np.float32)),
        }
    )


def schema_of(frame: pd.DataFrame, **properties: Any) -> Schema:
    """Returns the schema of the columns of a frame; properties are for the item id."""
    category, number, item = Tags.CATEGORICAL, Tags.CONTINUOUS, Tags.ITEM
    domains = {
        name: {"domain": {"min": 0, "max": 9, "name": name}} for name in ("color", "tags", "pair")
    }
    columns = [
        ColumnSchema("item", [Tags.ITEM_ID, category], properties, np.int64),
        ColumnSchema("color", [item, category], domains["color"], np.int32),
        ColumnSchema("price", [item, number], {}, np.float32),
        ColumnSchema("tags", [item, category], domains["tags"], np.int64, dims=(None, (0, None))),
        ColumnSchema("sizes", [item, number], {}, np.float64, dims=(None, (0, None))),
        ColumnSchema("pair", [item, category], domains["pair"], np.int64, dims=(None, 2)),
        ColumnSchema("vector", [item, number], {}, np.float32, dims=(None, 2)),
    ]
    return Schema([column for column in columns if column.name in frame])


def items_of(frame: pd.DataFrame, npartitions: int = 3) -> Dataset:
    return Dataset(frame, npartitions=npartitions, cpu=True, schema=schema_of(frame))


def table_of(frame: pd.DataFrame, npartitions: int = 3, **options: Any) -> ItemFeatures:
    domain = IdDomain(MIN_ID, MIN_ID + len(frame) - 1)
    options = {"domain": domain, **options}
    return ItemFeatures.from_dataset(items_of(frame, npartitions), **options)


def by_hand(frame: pd.DataFrame, ids: List[int]) -> Dict[str, np.ndarray]:
    """Returns the features of a batch of items, looked up one by one."""
    rows = frame.set_index("item", drop=False)
    alike = ("item", "color", "price", "pair", "vector")
    batch = {name: np.stack([rows[name][i] for i in ids]) for name in alike}
    for name in ("tags", "sizes"):
        lists = [list(rows[name][i]) for i in ids]
        batch[f"{name}__values"] = np.array(sum(lists, []), frame[name][0].dtype)
        batch[f"{name}__offsets"] = np.cumsum([0, *map(len, lists)])
    return batch


@tf.keras.utils.register_keras_serializable(package="popsampler_tests")
class Tower(tf.keras.layers.Layer):
    """Computes the vector of an item from its id and two features."""

    def __init__(self, cardinality: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cardinality = cardinality
        self.item = tf.keras.layers.Embedding(cardinality, 4)
        self.color = tf.keras.layers.Embedding(10, 4)
        self.price = tf.keras.layers.Dense(4)

    def build(self, _: Any) -> None:
        self.price.build([None, 1])
        self.built = True

    def call(self, batch: Dict[str, Any]) -> Any:
        vectors = self.item(batch["item"]) + self.color(batch["color"])
        return vectors + self.price(batch["price"][:, None])

    def get_config(self) -> Dict[str, Any]:
        return {**super().get_config(), "cardinality": self.cardinality}


@tf.keras.utils.register_keras_serializable(package="popsampler_tests")
class TwoTowers(tf.keras.Model):
    """A model whose query is the item itself, among the first items of a table that is not saved.

    In training it returns the loss of each row, otherwise its vector.

    Args:
      careless: whether the table is looked up even while a SavedModel is written.
    """

    def __init__(self, tower: Any, table: Optional[ItemFeatures] = None, careless: bool = False):
        super().__init__()
        self.tower, self.table, self.careless = tower, table, careless

    def call(self, batch: Dict[str, Any], training: bool = False) -> Any:
        vectors = self.tower(batch)
        if not training or (is_saving() and not self.careless):
            return vectors
        candidates = self.tower(required(self.table).features(tf.range(MIN_ID, MIN_ID + 5)))
        scores = tf.matmul(vectors, candidates, transpose_b=True)
        return tf.reduce_logsumexp(scores, 1) - tf.reduce_sum(vectors * vectors, 1)

    def get_config(self) -> Dict[str, Any]:
        return {"tower": tf.keras.utils.serialize_keras_object(self.tower)}

    @classmethod
    def from_config(cls, config: Dict[str, Any], custom_objects: Any = None) -> "TwoTowers":
        return cls(tf.keras.utils.deserialize_keras_object(config["tower"], custom_objects))
