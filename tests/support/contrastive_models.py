"""Twelve items with known counts, users with preferences, and Merlin models of them."""

from typing import Any, Optional, Sequence, Tuple

import merlin.models.tf as mm
import numpy as np
import pandas as pd
import tensorflow as tf
from merlin.io import Dataset
from merlin.schema import ColumnSchema, Schema, Tags

from merlin_popsampler import PopularityBasedSampler
from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.schema import with_popularity
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.tf.merlin_models import ContrastiveOutput, ItemFeatures
from tests.support.small_catalog import COUNTS

MIN_ID, MAX_ID = 3, 14
ITEMS = MAX_ID - MIN_ID + 1
ROWS = 100  # the last batch is not full
BATCH = 32
USERS = 6
K = 5


def _categorical(name: str, highest: int, *tags: Any) -> ColumnSchema:
    domain = {"domain": {"min": 0, "max": highest, "name": name}}
    return ColumnSchema(name, [*tags, Tags.CATEGORICAL], domain, np.int64)


def schema() -> Schema:
    """Returns columns `user`, `item` with a popularity curve, and `brand` of the item."""
    metadata = PopularityMetadata.from_counts(np.array(COUNTS), MIN_ID, "counted", 256)
    item = with_popularity(_categorical("item", MAX_ID, Tags.ITEM_ID, Tags.ITEM), metadata)
    user = _categorical("user", USERS - 1, Tags.USER_ID, Tags.USER)
    return Schema([user, item, _categorical("brand", 5, Tags.ITEM)])


SCHEMA = schema()
ITEM = SCHEMA.select_by_name("item")


def frame(unknown: bool = True) -> pd.DataFrame:
    """Returns rows of a loader, optionally with some items out of vocabulary."""
    rng = np.random.default_rng(17)
    users = rng.integers(0, USERS, ROWS)
    items = MIN_ID + (users * 2 + rng.integers(0, 4, ROWS)) % ITEMS
    if unknown:
        items[::7] = 2
    return pd.DataFrame({"user": users, "item": items, "brand": 1 + items % 5})


def dataset(*columns: str, unknown: bool = True) -> Dataset:
    columns = columns or ("user", "item", "brand")
    rows = frame(unknown)[list(columns)]
    return Dataset(rows, cpu=True, schema=SCHEMA.select_by_name(list(columns)))


def loader(unknown: bool = True, batch_size: int = BATCH) -> Any:
    """Returns batches in order, with the item as target."""
    rows = mm.Loader(dataset("user", "item", unknown=unknown), batch_size, shuffle=False)
    return rows.map(mm.ToTarget(rows.schema, "item", one_hot=False))


def sampler(**settings: Any) -> PopularityBasedSampler:
    settings = {"max_num_samples": K, "seed": 17, **settings}
    return PopularityBasedSampler.from_schema(SCHEMA, **settings)


def users_tower() -> Any:
    return mm.Encoder(
        SCHEMA.select_by_name("user"), mm.MLPBlock([4], no_activation_last_layer=True)
    )


def items_tower(*layers: Any) -> Any:
    block = mm.MLPBlock([4], no_activation_last_layer=True)
    return mm.Encoder(SCHEMA.select_by_name(["item", "brand"]), block, *layers)


def features(items: int = ITEMS) -> ItemFeatures:
    """Returns the features of the items, or of a larger table."""
    rows = pd.DataFrame({"item": np.arange(MIN_ID, MIN_ID + items)})
    rows["brand"] = 1 + rows["item"] % 5
    wanted = SCHEMA.select_by_name(["item", "brand"])
    domain = IdDomain(MIN_ID, MIN_ID + items - 1)
    return ItemFeatures.from_dataset(Dataset(rows, cpu=True, schema=wanted), SCHEMA, domain=domain)


def with_a_table(negatives: Any = None, **settings: Any) -> Tuple[Any, ContrastiveOutput]:
    """Returns a model with a table of items in the output, and the output."""
    tf.keras.utils.set_random_seed(17)
    output = ContrastiveOutput(ITEM, negatives or sampler(), **settings)
    return compiled(mm.RetrievalModelV2(query=users_tower(), output=output)), output


def with_towers(
    negatives: Any = None, tower: Any = None, **settings: Any
) -> Tuple[Any, ContrastiveOutput]:
    """Returns a two-tower model with item features, and its output."""
    tf.keras.utils.set_random_seed(17)
    tower = tower or items_tower()
    settings = {"item_features": features(), "schema": ITEM, "candidate": tower, **settings}
    output = ContrastiveOutput(None, negatives or sampler(), **settings)
    return compiled(mm.TwoTowerModelV2(users_tower(), tower, outputs=output)), output


LISTS = {"history": [[], [4, 14], [3], [5, 9, 9]], "shown": [[6, 7, 0], [8], [], [13, 3]]}
"""Lists of ids, repeated every four rows."""


def rows_with_lists(targets: bool = False, without: Optional[str] = None) -> Tuple[Any, Schema]:
    """Returns batches with the columns of `LISTS` in features or targets, and the schema."""
    names = [name for name in LISTS if name != without]
    rows = frame()[["user", "item"]]
    columns = [SCHEMA["user"], SCHEMA["item"]]
    for name in names:
        rows[name] = [np.array(LISTS[name][row % 4], np.int64) for row in range(len(rows))]
        domain = {"domain": {"min": 0, "max": MAX_ID, "name": name}}
        tags = [Tags.CATEGORICAL, Tags.LIST]
        columns.append(ColumnSchema(name, tags, domain, np.int64, dims=(None, (0, None))))
    schema = Schema(columns)

    moved = ["item", *(names if targets else [])]
    batches = mm.Loader(Dataset(rows, cpu=True, schema=schema), BATCH, shuffle=False)
    return batches.map(ToTargets(moved)), schema.excluding_by_name(moved)


class ToTargets:
    """Moves columns of a batch to a dict of targets."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def __call__(self, features: Any, _: Any) -> Any:
        parts = ("", "__values", "__offsets")
        moved = [f"{name}{part}" for name in self.names for part in parts]
        return features, {name: features.pop(name) for name in moved if name in features}

    def compute_output_schema(self, schema: Schema) -> Schema:
        return Schema(
            [
                column.with_tags(Tags.TARGET) if column.name in self.names else column
                for column in schema
            ]
        )


def with_lists(
    targets: bool = False, without: Optional[str] = None, negatives: Any = None, **settings: Any
) -> Tuple[Any, Any]:
    """Returns a model with a table of items, and batches of `rows_with_lists`."""
    tf.keras.utils.set_random_seed(17)
    output = ContrastiveOutput(ITEM, negatives or sampler(), **settings)
    rows, columns = rows_with_lists(targets, without)
    model = mm.RetrievalModelV2(query=users_tower(), output=output, schema=columns)
    return compiled(model), rows


def compiled(model: Any, **settings: Any) -> Any:
    model.compile(tf.keras.optimizers.Adam(0.05), **settings)
    return model


def log_softmax(scores: Any) -> Any:
    largest = scores.max(-1, keepdims=True)
    return scores - largest - np.log(np.exp(scores - largest).sum(-1, keepdims=True))


def losses_by_hand(
    query: Any,
    table: Any,
    true_ids: Any,
    candidate_ids: Any,
    counts: Any,
    temperature: float,
    true_counts: Optional[Any] = None,
) -> Any:
    """Computes the loss of each row with an item by loops in float64."""
    losses = []
    for row, y in enumerate(true_ids):
        if MIN_ID <= y <= MAX_ID:
            own = query[row] @ table[y] / temperature
            own -= 0.0 if true_counts is None else np.log(true_counts[row])
            logits = [own]
            for d, count in zip(candidate_ids, counts):
                if d != y and MIN_ID <= d <= MAX_ID:
                    logits.append(query[row] @ table[d] / temperature - np.log(count))
            losses.append(-log_softmax(np.array(logits))[0])
    return np.array(losses)


def exact(query: Any, table: Any, true_ids: Any, temperature: float) -> Tuple[Any, Any]:
    """Computes full cross-entropy and rank of each row with an item, ties against it."""
    known = (true_ids >= MIN_ID) & (true_ids <= MAX_ID)
    scores = query[known] @ table[MIN_ID:].T / temperature
    own = true_ids[known] - MIN_ID
    losses = -np.take_along_axis(log_softmax(scores), own[:, None], 1)[:, 0]
    return losses, (scores >= np.take_along_axis(scores, own[:, None], 1)).sum(1) - 1
