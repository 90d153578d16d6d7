"""Messages of `tf` and their advice, followed."""

import warnings

import tensorflow as tf

from merlin_popsampler.core.laws import LogUniform
from merlin_popsampler.tf.logits import one_positive_a_row
from merlin_popsampler.tf.merlin_models.interfaces import check_no_squeeze
from merlin_popsampler.tf.negatives import InBatch, Mixture
from merlin_popsampler.tf.ranks import draw_ranks
from merlin_popsampler.tf.sampled_softmax import SampledSoftmax
from merlin_popsampler.tf.sampler import PopularityBasedSampler
from tests.messages.things import schema
from tests.support.messages import Entry

SPARSE = tf.sparse.from_dense(tf.constant([[3, 0], [4, 5]], tf.int64))
RAGGED = tf.ragged.constant([[3], [4, 5]], dtype=tf.int64)


def sampler(**settings):
    settings = {"max_id": 14, "min_id": 3, "max_num_samples": 5, "seed": 17, **settings}
    return PopularityBasedSampler(**settings)


SOFTMAX = SampledSoftmax(sampler())


def embedding():
    return tf.keras.layers.Embedding(15, 2)


def symbolic():
    return tf.keras.Input([2]), tf.keras.Input([], dtype="int64")


def losses(table, queries=None, true_ids=(3, 4), layer=None):
    layer = layer or SampledSoftmax(sampler())
    queries = tf.zeros([2, 2]) if queries is None else queries
    return layer(queries, true_ids, table, training=True)


def draw(algorithm):
    seed = tf.constant(1, tf.uint64)
    return draw_ranks(LogUniform(12), seed, seed, 3, algorithm=algorithm)


def inputs(name):
    return {"embeddings": tf.zeros([2, 3]), "metadata": {name: tf.constant([[3], [4]])}}


def traced():
    layer = sampler()
    graph = tf.function(layer.sample_ids)
    graph()
    return layer


def compiled_again():
    layer = traced()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer.set_max_num_samples(3)
    assert tf.function(layer.sample_ids)().shape == [3]


TABLE = {
    "tf.ids": [
        Entry(
            "Cast whole numbers to int64",
            lambda _: sampler().expected_count([3.0, 4.0]),
            [lambda _: sampler().expected_count(tf.cast([3.0, 4.0], tf.int64))],
        ),
        Entry(
            "Expected ids in a dense or a ragged tensor",
            lambda _: sampler().expected_count(SPARSE),
            [
                lambda _: sampler().expected_count(tf.sparse.to_dense(SPARSE)),
                lambda _: sampler().expected_count(SPARSE.values),
            ],
        ),
        Entry(
            "Pass integers of one type",
            lambda _: sampler().expected_count([[3], [4, 5]]),
            [
                lambda _: sampler().expected_count([3, 4, 5]),
                lambda _: sampler().expected_count(RAGGED),
            ],
        ),
    ],
    "tf.item_table": [
        Entry(
            "Expected item vectors",
            lambda _: losses(tf.zeros([14, 2])),
            [lambda _: losses(tf.keras.layers.Embedding(sampler().max_id + 1, 2))],
        ),
    ],
    "tf.negatives": [
        Entry(
            "Expected the measured law for in-batch negatives",
            lambda _: InBatch(14, 3, law="log_uniform"),
            [lambda folder: InBatch.from_schema(schema(folder))],
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
            [
                lambda folder: Mixture(
                    [
                        PopularityBasedSampler.from_schema(schema(folder), max_num_samples=num)
                        for num in (1, 2)
                    ]
                )
            ],
        ),
    ],
    "tf.sampled_softmax": [
        Entry(
            "Pass 1.0 for scores as they are",
            lambda _: SampledSoftmax(sampler(), temperature=0),
            [lambda _: SampledSoftmax(sampler(), temperature=1.0)],
        ),
        Entry(
            "Pass how many of the best items count",
            lambda _: SampledSoftmax(sampler(), top_k=0),
            [lambda _: SampledSoftmax(sampler(), top_k=20)],
        ),
        Entry(
            "Expected an Embedding layer as item_table",
            lambda _: losses(tf.Variable(tf.zeros([15, 2])), *symbolic()),
            [lambda _: losses(tf.keras.layers.Embedding(14 + 1, 2), *symbolic())],
        ),
        Entry(
            "Make a SampledSoftmax for each table",
            lambda _: [losses(table, layer=SOFTMAX) for table in (embedding(), embedding())],
            [lambda _: [losses(table) for table in (embedding(), embedding())]],
        ),
        Entry(
            "Expected one item a row",
            lambda _: losses(embedding(), tf.zeros([2, 2]), [[3, 4], [5, 0]]),
            [
                lambda _: losses(
                    embedding(), *one_positive_a_row(tf.zeros([2, 2]), [[3, 4], [5, 0]])[:2]
                )
            ],
        ),
    ],
    "tf.merlin_models.interfaces": [
        Entry(
            "Expected item_weights with at least",
            lambda _: sampler().sample(tf.zeros([14, 3])),
            [
                lambda _: sampler().sample(tf.zeros([15, 3])),
                lambda _: sampler(max_id=13).sample(tf.zeros([14, 3])),
            ],
        ),
        Entry(
            "Name the item id's column in item_id_feature_name",
            lambda _: sampler()(inputs("product"), tf.zeros([15, 3])),
            [
                lambda _: sampler(item_id_feature_name="product")(
                    inputs("product"), tf.zeros([15, 3])
                )
            ],
        ),
        Entry(
            "Expected at least 2 samples and 2 rows",
            lambda _: check_no_squeeze(tf.zeros([1, 3]), 5),
            [
                lambda _: check_no_squeeze(tf.zeros([2, 3]), 2),
                lambda _: sampler(max_num_samples=1).sample_ids(),
            ],
        ),
    ],
    "tf.ranks": [
        Entry("Use 'auto'", lambda _: draw("alphabetical"), [lambda _: draw("auto")]),
    ],
    "tf.sampler": [
        Entry(
            "compile the model again",
            lambda _: traced().set_max_num_samples(3),
            [lambda _: compiled_again()],
        ),
    ],
    "tf.stream": [
        Entry(
            "Set KERAS_BACKEND=tensorflow",
            excepted="Keras 3 alone has other backends; tests/tf_/test_ways_of_running.py has it",
        ),
        Entry(
            "Build the sampler inside the scope",
            excepted="two devices take a process of their own; tests/tf_/test_ways_of_running.py "
            "has it, and tests/tf_/test_stream.py what is built inside",
        ),
    ],
}
