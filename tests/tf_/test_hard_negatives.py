"""Hard negatives: at a count of 1 in their row's sum, which stays an unbiased estimate."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from merlin_popsampler import PopSamplerError
from merlin_popsampler.tf import InBatch, PopularityBasedSampler, SampledSoftmax, sampled_softmax
from merlin_popsampler.tf.id_lists import IdLists, first_in_row
from tests.support.hard_cases import (
    EXCLUDED,
    HARD,
    LIST,
    SIZE,
    TRUE,
    TRUE_IDS,
    WRONG,
    exact_sum,
    row_of_six,
)
from tests.support.loss_oracles import losses_by_hand
from tests.support.oracles import enumerate_sequences, log_uniform_probs
from tests.support.small_catalog import DISTRIBUTIONS, sampler

IDS = np.array(TRUE_IDS)


def vectors():
    rng = np.random.default_rng(3)
    query, table = rng.normal(0.0, 0.3, (6, 4)), rng.normal(size=(15, 4))
    return query.astype(np.float32), table.astype(np.float32)


def padded(lists):
    return tf.ragged.constant(lists, tf.int64).to_tensor()


def ragged(lists):
    return tf.ragged.constant(lists, tf.int32)


def negatives():
    distribution = DISTRIBUTIONS["empirical"]
    return [sampler(), InBatch(14, 3, distribution=distribution)]


# ------------------------------------------------------------------ the sum of each row


@pytest.mark.parametrize("form", [padded, ragged])
@pytest.mark.parametrize("sources", [sampler, negatives], ids=["samples", "mixture"])
@pytest.mark.parametrize("excluded", [None, EXCLUDED], ids=["nothing", "excluded"])
def test_each_row_is_as_by_hand(excluded, sources, form):
    query, table = vectors()
    settings = {"correct_positive": False, "logq_strength": 0.5}
    layer = SampledSoftmax(sources(), 0.5, **settings)
    source = SampledSoftmax(sources()).negatives
    sampled = source.sample_ids()
    _, negative = source.candidates(
        tf.constant(TRUE_IDS), tf.gather(table, TRUE_IDS), sampled, tf.gather(table, sampled)
    )
    drawn, count_of = negative.ids.numpy(), layer.negatives.expected_count(np.arange(15), 6)
    assert {5, 9} & set(drawn.tolist())  # a hard negative that was drawn
    arguments = (query, table, TRUE_IDS, drawn, count_of.numpy(), 0.5, excluded or [[]] * 6)
    expected = losses_by_hand(*arguments, False, 0.5, HARD)
    found = layer(
        query,
        IDS,
        tf.constant(table),
        None if excluded is None else form(excluded),
        training=True,
        hard_negative_ids=form(HARD),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (abs(losses_by_hand(*arguments, False, 0.5) - expected) > 1e-3).sum() >= 4


@pytest.mark.parametrize("compiled", [False, True])
def test_all_items_as_hard_negatives_are_the_full_softmax(compiled):
    """Values and gradients; in a graph of unknown shapes, under XLA too."""
    query, table = map(tf.Variable, vectors())
    layer = SampledSoftmax(sampler(), 0.5, correct_positive=False)

    def losses(hard):
        return layer(query, IDS, table, training=True, hard_negative_ids=hard)

    signature = [tf.TensorSpec([None, 15], tf.int32)]
    step = tf.function(losses, signature, jit_compile=compiled)
    with tf.GradientTape(persistent=True) as tape:
        found = step(tf.tile(tf.range(15)[None], [6, 1]))
        scores = tf.matmul(query, table[3:], transpose_b=True) / 0.5
        expected = tf.nn.sparse_softmax_cross_entropy_with_logits(np.array(TRUE_IDS) - 3, scores)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for variable in (query, table):
        a, b = (tf.convert_to_tensor(tape.gradient(x, variable)) for x in (found, expected))
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_no_hard_negatives_change_nothing_and_an_evaluation_ignores_them(training):
    query, table = vectors()
    for hard in (np.zeros([6, 0], np.int64), padded(HARD)):
        plain, with_hard = (
            SampledSoftmax(sampler())(query, IDS, tf.constant(table), training=training, **each)
            for each in ({}, {"hard_negative_ids": hard})
        )
        same = np.allclose(plain, with_hard, rtol=1e-6)
        assert same == (hard.shape[1] == 0 or not training)


def test_a_functional_model_takes_them_and_trains():
    users, items, shown = (tf.keras.Input(s, dtype="int64") for s in ([], [], [3]))
    table = tf.keras.layers.Embedding(15, 4)
    queries = tf.keras.layers.Embedding(20, 4)(users)
    losses = SampledSoftmax(sampler())(queries, items, table, hard_negative_ids=shown)
    model = tf.keras.Model([users, items, shown], losses)
    model.compile("sgd", lambda _, losses: losses)
    data = [np.arange(6), np.array(TRUE_IDS), np.array([[4, 5, 0]] * 6)]
    assert np.isfinite(model.fit(data, data[1], verbose=0).history["loss"]).all()
    data[2] = np.zeros([6, 3], int)
    assert np.isfinite(model.evaluate(data, data[1], verbose=0)).any()


def test_lists_of_other_rows_are_refused():
    query, table = vectors()
    with pytest.raises(PopSamplerError, match=r"Expected hard_negative_ids \[rows, n\]"):
        SampledSoftmax(sampler())(
            query, IDS, tf.constant(table), training=True, hard_negative_ids=[[3], [4]]
        )


@pytest.mark.parametrize("cardinality", [10, 2**40])
def test_which_ids_are_the_first_of_their_row(cardinality):
    """Ids outside, as large as the next row's keys, must not hide another row's ids."""
    ids = [4, 4, 9, -7, 4, 14, 9, 4, 10**13, 9, 4]
    rows = [0] * 6 + [1] * 4 + [2]
    lists = IdLists(tf.constant(ids, tf.int64), tf.constant(rows))
    found = first_in_row(lists, cardinality).numpy()
    pairs = list(zip(rows, ids))
    for place, pair in enumerate(pairs):
        if 0 <= pair[1] < cardinality:
            assert found[place] == (pair not in pairs[:place])


# ------------------------------------------------------------------ unbiased


def sampler_of_six():
    return PopularityBasedSampler(SIZE - 1, 0, 2, 17)


def weighting(monkeypatch, wrong):
    """The loss as it is, or with one of two wrong weights of hard negatives."""

    source = sampler_of_six()

    def at_counts_of_samples(query, hard, vectors, _):
        counts = source.expected_count(hard.safe_ids)
        scores = tf.matmul(query, vectors, transpose_b=True)[0] - tf.math.log(counts)
        return tf.reduce_logsumexp(tf.where(hard.counts, scores, -np.inf))[None]

    if wrong == WRONG[0]:
        monkeypatch.setattr(sampled_softmax, "join", lambda excluded, hard: excluded)
    if wrong == WRONG[1]:
        monkeypatch.setattr(sampled_softmax, "hard_log_sums", at_counts_of_samples)


def sum_of_negatives(layer):
    """The sum over the negatives: the uncorrected loss is log(1 + sum / e^s) of the row."""
    query, table = map(tf.constant, row_of_six())
    own = tf.exp(tf.reduce_sum(query * table[TRUE]))
    arguments = {"training": True, "hard_negative_ids": tf.constant([LIST])}
    return own * tf.math.expm1(layer(query, tf.constant([TRUE]), table, **arguments)[0])


@pytest.mark.parametrize("wrong", [None, *WRONG])
def test_over_all_batches_of_two_the_mean_is_the_sum_over_the_catalog(monkeypatch, wrong):
    """Exact: every ordered sample of two of six items, by its probability."""
    weighting(monkeypatch, wrong)
    source = sampler_of_six()
    layer, mean = SampledSoftmax(source, correct_positive=False), 0.0
    for drawn, prob in enumerate_sequences(log_uniform_probs(SIZE), 2):
        monkeypatch.setattr(source, "sample_ids", lambda drawn=drawn: tf.constant(drawn, tf.int64))
        mean += prob * float(sum_of_negatives(layer))
    deviation = abs(mean / exact_sum(*row_of_six()) - 1)
    assert deviation < 1e-5 if wrong is None else deviation > 0.02


@pytest.mark.parametrize("wrong", [None, *WRONG])
def test_over_many_batches_the_mean_is_the_sum_over_the_catalog(monkeypatch, wrong):
    """10,000 batches of draws for one row; false alarms 1e-6 (4.9 standard errors)."""
    weighting(monkeypatch, wrong)
    layer = SampledSoftmax(sampler_of_six(), correct_positive=False)
    sum_of_negatives(layer)

    @tf.function
    def many():
        batches = tf.zeros([10_000])
        return tf.map_fn(lambda _: sum_of_negatives(layer), batches, parallel_iterations=1)

    sums = many().numpy().astype(np.float64)
    deviation = (sums.mean() - exact_sum(*row_of_six())) / (sums.std() / 100)
    assert abs(deviation) < 4.9 if wrong is None else abs(deviation) > 4.9
