"""Triggers messages of `tf`, and follows their advice."""

import pandas as pd
import tensorflow as tf
from merlin.io import Dataset
from merlin.schema import Schema

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.schema import with_popularity
from merlin_popsampler.core.distributions import LogUniform
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.tf.all_items import AllItems
from merlin_popsampler.tf.logits import one_positive_a_row
from merlin_popsampler.tf.merlin_interfaces import check_no_squeeze
from merlin_popsampler.tf.merlin_models.item_features import ItemFeatures, required
from merlin_popsampler.tf.negatives import InBatch, Mixture
from merlin_popsampler.tf.sampled_softmax import SampledSoftmax
from merlin_popsampler.tf.sampler import PopularityBasedSampler
from tests.messages.things import schema
from tests.support.draws import draw_ranks
from tests.support.item_tables import frame_of, schema_of, table_of
from tests.support.messages import Entry


def sampler(**settings):
    settings = {"max_id": 14, "min_id": 3, "max_num_samples": 5, "seed": 17, **settings}
    return PopularityBasedSampler(**settings)


def mapped():
    return PopularityBasedSampler.from_counts(([7, 3], [9, 4]), max_num_samples=2, seed=17)


def restored(weights=None):
    layer = PopularityBasedSampler.from_config(mapped().get_config())
    if weights:
        layer.set_weights(weights)
    return layer


# Keras 3 takes only tensors as positional arguments.
IDS, PAIRS = tf.constant([3, 4]), tf.constant([[3, 4], [5, 0]])


def embedding():
    return tf.keras.layers.Embedding(15, 2)


def with_call(function):
    class Changed(tf.keras.layers.Embedding):
        def call(self, inputs):
            return function(super().call(inputs))

    return Changed(15, 2)


def losses(table, queries=None, true_ids=IDS, layer=None, excluded_ids=None, **arguments):
    layer = layer or SampledSoftmax(sampler())
    queries = tf.zeros([2, 2]) if queries is None else queries
    return layer(queries, true_ids, table, excluded_ids, training=True, **arguments)


def drawn(layer):
    ids = layer.sample_ids()
    return ids, layer.expected_count(ids)


def full():
    return SampledSoftmax(AllItems(14, 3))


def second_derivative(layer):
    table = tf.Variable(tf.random.normal([15, 2]))
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            mean = tf.reduce_mean(losses(table, tf.ones([2, 2]), layer=layer))
        gradient = tf.convert_to_tensor(inner.gradient(mean, table))
    return outer.gradient(gradient, table)


def draw(algorithm):
    seed = tf.constant(1, tf.uint64)
    return draw_ranks(LogUniform(12), seed, seed, 3, algorithm=algorithm)


def inputs(name):
    return {"embeddings": tf.zeros([2, 3]), "metadata": {name: tf.constant([[3], [4]])}}


ITEMS = frame_of(10)


def schema_with(digest):
    """Returns the schema of the ten items, from a fit of this digest."""
    metadata = PopularityMetadata(3, 12, False, "counted", digest=digest)
    schema = schema_of(ITEMS)
    return Schema([with_popularity(schema["item"], metadata), *schema.remove_col("item")])


def of_fits(ours, theirs):
    """Uses the item table of one fit with the schema of another."""
    items = Dataset(ITEMS, cpu=True, schema=schema_with(theirs))
    return ItemFeatures.from_dataset(items, schema_with(ours))


def ten(frame=ITEMS, **options):
    """Returns the table of ten items, ids 3 to 12."""
    return table_of(frame, 1, **{"domain": IdDomain(3, 12), **options})


def without_one(column):
    return ITEMS.assign(**{column: ITEMS[column].mask(ITEMS["item"] == 5)})


TABLE = {
    "tf.ids": [
        Entry("Pass integers of one type", lambda _: sampler().expected_count([[3], [4, 5]])),
        Entry(
            "must not stand for an item, or ids.values",
            lambda _: sampler().expected_count(tf.sparse.from_dense([[3, 4], [5, 0]])),
            [
                lambda _: sampler().expected_count([[3, 4], [5, 0]]),
                lambda _: sampler().expected_count(tf.sparse.from_dense([[3, 4], [5, 0]]).values),
            ],
        ),
    ],
    "tf.item_table": [
        Entry("Expected item vectors", lambda _: losses(tf.zeros([14, 2]))),
        Entry(
            "pass a subclass of Embedding whose call maps ids to vectors",
            lambda _: losses(tf.keras.Sequential([embedding(), tf.keras.layers.Dense(2)])),
            [lambda _: losses(with_call(tf.keras.layers.Dense(2)))],
        ),
        Entry(
            "Return a vector for each id",
            lambda _: losses(with_call(lambda vectors: vectors[None])),
        ),
    ],
    "contract.negatives": [
        Entry(
            "leave it out to draw anew",
            lambda _: losses(embedding(), sampled_values=IDS),
            [
                lambda _: losses(embedding(), sampled_values=drawn(sampler())),
                lambda _: losses(embedding()),
            ],
        ),
        Entry(
            "and at most one InBatch",
            lambda _: Mixture(["in-batch"]),
            [
                lambda folder: Mixture(
                    [
                        InBatch.from_schema(schema(folder)),
                        PopularityBasedSampler.from_schema(schema(folder), max_num_samples=2),
                    ]
                )
            ],
        ),
        Entry(
            "Expected sources over the same ids",
            lambda _: Mixture([sampler(), sampler(max_id=15)]),
            [lambda _: Mixture([sampler(), sampler(seed=3)])],
        ),
        Entry(
            "or pass a sampler as negatives",
            lambda _: losses(embedding(), layer=full(), sampled_values=drawn(sampler())),
            [
                lambda _: losses(embedding(), layer=full()),
                lambda _: losses(embedding(), sampled_values=drawn(sampler())),
            ],
        ),
    ],
    "tf.blocks": [
        Entry(
            "Take it of contrastive_logits",
            lambda _: second_derivative(full()),
            [lambda _: second_derivative(SampledSoftmax(sampler()))],
        ),
    ],
    "tf.mapped_ids": [
        Entry(
            "Expected item_ids to be a flat list",
            lambda _: sampler(distribution="uniform", item_ids={14: 3, 3: 9}),
            [lambda _: mapped()],
        ),
        Entry(
            "Load the weights that were saved with the configuration",
            lambda _: restored().sample_ids(),
            [
                lambda _: restored(mapped().get_weights()).sample_ids(),
                lambda _: mapped().sample_ids(),
            ],
        ),
    ],
    "tf.sampled_softmax": [
        Entry(
            "Pass 1.0 for scores as they are", lambda _: SampledSoftmax(sampler(), temperature=0)
        ),
        Entry(
            "Pass 1.0 for the whole correction",
            lambda _: SampledSoftmax(sampler(), logq_strength=2),
        ),
        Entry(
            "Pass how many of the best items count", lambda _: SampledSoftmax(sampler(), top_k=0)
        ),
        Entry(
            "Expected one item a row",
            lambda _: losses(embedding(), tf.zeros([2, 2]), PAIRS),
            [lambda _: losses(embedding(), *one_positive_a_row(tf.zeros([2, 2]), PAIRS)[:2])],
        ),
        Entry(
            "queries to [-1, dim] and ids to [-1]",
            lambda _: losses(embedding(), tf.zeros([2, 2, 2]), PAIRS),
            [
                lambda _: losses(
                    embedding(),
                    tf.reshape(tf.zeros([2, 2, 2]), [-1, 2]),
                    tf.reshape(tf.constant(PAIRS), [-1]),
                )
            ],
        ),
    ],
    "tf.merlin_interfaces": [
        Entry(
            "Expected at least 2 samples and 2 rows",
            lambda _: check_no_squeeze(tf.zeros([1, 3]), 5),
            [
                lambda _: check_no_squeeze(tf.zeros([2, 3]), 2),
                lambda _: sampler(max_num_samples=1).sample_ids(),
            ],
        )
    ],
    "tf.merlin_models.item_columns": [
        Entry("to be read from files there", lambda _: ten(max_bytes=100)),
        Entry(
            "Encode the items by the workflow that encoded the training data",
            lambda _: ten(ITEMS.assign(item=ITEMS["item"] + 1)),
        ),
        Entry("Add rows for these items", lambda _: ten(ITEMS[:9])),
        Entry(
            "Keep one row of each item",
            lambda _: ten(pd.concat([ITEMS, ITEMS[:1]])),
            [lambda _: ten(pd.concat([ITEMS, ITEMS[:1]]).drop_duplicates(subset=["item"]))],
        ),
        Entry(
            "Fill them in the workflow",
            lambda _: ten(without_one("price")),
            [
                lambda _: ten(without_one("price").fillna({"price": 0})),
                lambda _: ten(without_one("color").fillna({"color": 1})),
            ],
        ),
    ],
    "tf.merlin_models.item_features": [
        Entry(
            "pass them to set_item_features(table)",
            lambda _: required(None),
            [lambda _: required(ten()).features([3, 4])],
        ),
        Entry("Add these columns to the item table", lambda _: ten().select(["brand"])),
        Entry(
            "Build it from the items: ItemFeatures.from_dataset",
            lambda _: required(3),
            [lambda _: required(ten())],
        ),
        Entry(
            "Pass a list, even of one name",
            lambda _: ten().select("price"),
            [lambda _: ten().select(["price"])],
        ),
        Entry(
            "Pass sampler.domain, or IdDomain(min_id, max_id)",
            lambda _: ten(domain=12),
            [
                lambda _: ten(domain=PopularityBasedSampler(12, 3, 2).domain),
                lambda _: ten(domain=IdDomain(3, 12)),
            ],
        ),
        Entry("Pass a number of bytes", lambda _: ten(max_bytes="1 GB")),
        Entry(
            "Transform the items with the workflow that wrote the schema",
            lambda _: of_fits("a", "b"),
        ),
    ],
    "tf.ranks": [Entry("Use 'auto'", lambda _: draw("alphabetical"))],
}
