"""The loss of sampled candidates: against loops in NumPy, TensorFlow's, and the full softmax."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.errors import PopSamplerError
from merlin_popsampler.tf import (
    Candidates,
    InBatch,
    PopularityBasedSampler,
    SampledSoftmax,
    contrastive_logits,
    one_positive_a_row,
)
from merlin_popsampler.tf.logits import cross_entropy, row_weights
from tests.conftest import SEED
from tests.support.loss_oracles import losses_by_hand
from tests.support.small_catalog import DISTRIBUTIONS, sampler

DOMAIN = IdDomain(3, 14)
DIM = 4
NOTHING = [[] for _ in range(5)]
HISTORIES = [[], [5, 6], [14], [3, 0, 9, 9], [99]]


def numbers(seed=SEED):
    """Query of five rows, vectors of the ids 0 to 14."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(5, DIM)), rng.normal(size=(15, DIM))


def losses(query, vectors, true_ids, sampled, count_of, dtype=np.float32, **settings):
    def candidates(ids):
        counts = tf.cast(tf.gather(count_of, ids), tf.float32)
        return Candidates(tf.gather(tf.cast(vectors, dtype), ids), tf.constant(ids), counts)

    query = tf.cast(query, dtype)
    true, negative = candidates(true_ids), candidates(sampled)
    return cross_entropy(*contrastive_logits(query, true, negative, DOMAIN, **settings))


@pytest.mark.parametrize("strength", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 2.0])
@pytest.mark.parametrize("excluded", [NOTHING, HISTORIES], ids=["nothing", "histories"])
def test_each_row_is_as_by_hand(correct, temperature, excluded, strength):
    query, vectors = numbers()
    true_ids, sampled = [3, 14, 7, 7, 12], [3, 7, 9, 9, 14, 0, 1, 5]  # repeats, hits, reserved ids
    count_of = np.linspace(0.1, 3.0, 15)
    expected = losses_by_hand(
        query, vectors, true_ids, sampled, count_of, temperature, excluded, correct, strength
    )
    found = losses(
        query,
        vectors,
        true_ids,
        sampled,
        count_of,
        temperature=temperature,
        excluded_ids=None if excluded is NOTHING else tf.ragged.constant(excluded, tf.int64),
        correct_positive=correct,
        logq_strength=strength,
    )
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_excluded_ids_may_be_padded_and_of_any_integers_in_graphs_of_unknown_shapes(compiled):
    query, vectors = numbers()
    true_ids, sampled, count_of = [3, 14, 7, 7, 12], [3, 9, 9, 5, 6], np.linspace(0.1, 3.0, 15)
    padded = tf.ragged.constant(HISTORIES).to_tensor()

    def of_any_shape(query, excluded_ids):
        return losses(query, vectors, true_ids, sampled, count_of, excluded_ids=excluded_ids)

    signature = [tf.TensorSpec([None, DIM]), tf.TensorSpec([None, None], tf.int32)]
    graph = tf.function(of_any_shape, signature, jit_compile=compiled)
    expected = losses_by_hand(
        query, vectors, true_ids, sampled, count_of, 1.0, HISTORIES, correct=True
    )
    found = graph(tf.cast(query, tf.float32), padded)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("lists", [tf.zeros([4, 2], tf.int64), tf.ragged.constant([[5], [6]])])
def test_lists_of_other_rows_are_refused(lists):
    query, vectors = numbers()
    message = r"excluded_ids \[rows, n\] of as many rows as the queries, \(5,\), or of one"
    with pytest.raises(PopSamplerError, match=message):
        losses(query, vectors, [3, 14, 7, 7, 12], [3, 9], np.ones(15), excluded_ids=lists)


def test_the_losses_are_float32_inside_whatever_comes_in():
    query, vectors = numbers()
    # Halves that float16 holds, and whose product it does not.
    query, vectors = np.full_like(query, 200.0), np.round(vectors * 64) * 4
    found = losses(query, vectors, [3, 4, 5, 6, 7], [8, 9, 10], np.ones(15), np.float16)
    expected = losses(query, vectors, [3, 4, 5, 6, 7], [8, 9, 10], np.ones(15))
    np.testing.assert_array_equal(found, expected)
    assert np.all(np.isfinite(found)) and np.max(found) > 65504


def test_scores_beyond_any_logit_stay_finite():
    with tf.GradientTape() as tape:
        query = tf.Variable([[3e38, 3e38], [-3e38, 1.0], [-1e-3, 0.0]])
        vectors = tf.constant([[2e38, 2e38], [-2e38, 1.0], [1.0, 2.0]])
        true = Candidates(vectors, tf.constant([3, 4, 5]), tf.constant([1e-37, 1e9, 1.0]))
        negative = Candidates(vectors, tf.constant([5, 6, 3]), tf.constant([1e-37, 1e9, 1.0]))
        true_logits, logits = contrastive_logits(query, true, negative, DOMAIN, 1e-6)
        found = cross_entropy(true_logits, logits)
    assert np.all(np.isfinite(true_logits)) and np.all(np.isfinite(logits))
    assert np.all(np.isfinite(found))
    assert np.all(np.isfinite(tape.gradient(found, query)))
    # In the first two rows a sample has the positive's vector, in the last one a far better one.
    np.testing.assert_allclose(found, [np.log(2), np.log(2), 1e10], rtol=1e-5)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("temperature", [0.05, 0.3, 2.0])
def test_with_all_items_as_samples_it_is_the_full_softmax(distribution, temperature):
    layer = sampler(distribution=DISTRIBUTIONS[distribution], max_num_samples=12)
    query, vectors = (tf.Variable(values, dtype=tf.float32) for values in numbers())
    true_ids = np.array([3, 14, 8, 8, 5])
    sampled, true_counts, counts = layer.sampled_values(true_ids)
    with tf.GradientTape(persistent=True) as tape:
        found = cross_entropy(
            *contrastive_logits(
                query,
                Candidates(tf.gather(vectors, true_ids), tf.constant(true_ids), true_counts),
                Candidates(tf.gather(vectors, sampled), sampled, counts),
                DOMAIN,
                temperature,
            )
        )
        scores = tf.matmul(query, vectors[3:], transpose_b=True) / temperature
        expected = tf.nn.sparse_softmax_cross_entropy_with_logits(true_ids - 3, scores)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for variable in (query, vectors):
        gradient = tf.convert_to_tensor(tape.gradient(found, variable))
        wanted = tf.convert_to_tensor(tape.gradient(expected, variable))
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def test_each_step_is_tensorflows_own_with_the_queries_divided_by_the_temperature():
    layer, temperature = sampler(distribution=DISTRIBUTIONS["empirical"], max_num_samples=6), 0.2
    query, vectors = (values.astype(np.float32) for values in numbers())
    true_ids = np.array([3, 14, 8, 8, 5])
    for _ in range(5):
        sampled, true_counts, counts = layer.sampled_values(true_ids[:, None])
        expected = tf.nn.sampled_softmax_loss(
            vectors,
            np.zeros(15, np.float32),
            true_ids[:, None],
            query / temperature,
            6,
            15,
            sampled_values=(sampled, true_counts, counts),
        )

        def ours(counts_of, query, temperature, sampled=sampled):
            return losses(
                query, vectors, true_ids, sampled.numpy(), counts_of, temperature=temperature
            )

        right = layer.expected_count(np.arange(15))
        # Their loss is a difference of logits of some 10, in float32.
        np.testing.assert_allclose(ours(right, query, temperature), expected, rtol=1e-5, atol=2e-6)
        wrong = {
            "logQ before the temperature": ours(right ** (1 / temperature), query, temperature),
            "the expected count of K tries": ours(
                1 - (1 - layer.get_distribution_probs()) ** 6, query, temperature
            ),
        }
        for name, found in wrong.items():
            assert np.max(np.abs(found - expected)) > 1e-3, name


def test_the_uncorrected_positive_weighs_the_loss_of_the_others_by_one_minus_p():
    query, vectors = numbers()
    true_ids, sampled = [3, 14, 7, 7, 12], [3, 7, 9, 9, 14, 5]
    counts = np.linspace(0.1, 3.0, 15)
    query = tf.Variable(query, dtype=tf.float32)
    with tf.GradientTape() as tape:
        found = losses(query, vectors, true_ids, sampled, counts, correct_positive=False)
    with tf.GradientTape() as weighted:
        vectors32 = tf.cast(vectors, tf.float32)
        scores = tf.matmul(query, tf.gather(vectors32, sampled), transpose_b=True)
        logits = scores - np.log(counts[sampled]).astype(np.float32)
        logits = tf.where(np.equal.outer(true_ids, sampled), -np.inf, logits)
        others = tf.reduce_logsumexp(logits, 1)
        true_score = tf.reduce_sum(query * tf.gather(vectors32, true_ids), 1)
        prob = tf.exp(true_score - np.logaddexp(true_score, others))
        alone = tf.stop_gradient(1 - prob) * (others - true_score)
    np.testing.assert_allclose(
        tape.gradient(found, query), weighted.gradient(alone, query), rtol=1e-4, atol=1e-6
    )


def test_a_loss_near_zero_keeps_its_digits():
    query, vectors = np.ones([1, 1]), np.zeros([15, 1])
    vectors[4] = 20.0
    found = losses(query, vectors, [4], [9, 10], np.ones(15))
    np.testing.assert_allclose(found, 2 * np.exp(-20.0), rtol=1e-5)


def test_one_row_and_one_sample():
    query, vectors = numbers()
    counts = np.linspace(0.1, 3.0, 15)
    expected = losses_by_hand(query[:1], vectors, [4], [9], counts, 1.0, [[]], True)
    np.testing.assert_allclose(losses(query[:1], vectors, [4], [9], counts), expected, rtol=1e-5)
    np.testing.assert_array_equal(losses(query[:1], vectors, [4], [4], counts), [0.0])


@pytest.mark.parametrize("form", ["dense", "ragged"])
def test_of_several_positives_each_has_a_row_and_is_no_negative_of_the_others(form):
    query, vectors = numbers()
    positives = [[3, 9], [14, 0], [7, 8], [5, 0], [12, 3]]
    lists = [[item for item in row if item] for row in positives]
    true_ids = tf.ragged.constant(lists) if form == "ragged" else tf.constant(positives)
    rows, ids, siblings = one_positive_a_row(tf.constant(query), true_ids)
    sampled, counts = [3, 9, 7, 11, 12], np.linspace(0.1, 3.0, 15)
    found = losses(rows, vectors, ids.numpy(), sampled, counts, excluded_ids=siblings)
    alone = [
        losses_by_hand(query[[row]], vectors, [item], sampled, counts, 1.0, [of_query], True)[0]
        for row, of_query in enumerate(lists if form == "ragged" else positives)
        for item in of_query
    ]
    np.testing.assert_allclose(found, alone, rtol=1e-5)


def test_the_mean_of_weighted_rows_is_the_mean_of_those_that_count():
    values = np.array([1.0, 10.0, 100.0, 1000.0])
    weights = row_weights(tf.constant([True, False, True, False]))
    np.testing.assert_allclose(np.mean(values * weights), (1 + 100) / 2)
    np.testing.assert_array_equal(row_weights(tf.constant([False, False])), [0, 0])
    assert row_weights(tf.zeros([0], tf.bool)).shape == [0]


def test_vectors_of_the_batch_give_the_loss_of_in_batch():
    """A step of the user without a table, from public names alone."""
    counts, true_ids = {3: 40, 4: 20, 5: 9, 6: 1}, tf.constant([4, 3, 4, 5])
    table, queries = (tf.random.stateless_normal([n, 8], [SEED, n]) for n in (7, 4))
    sampler = PopularityBasedSampler.from_counts(counts, max_num_samples=1)
    batch = Candidates(tf.gather(table, true_ids), true_ids, 3 * sampler.probability(true_ids))
    found = cross_entropy(*contrastive_logits(queries, batch, batch, sampler.domain, 0.3))
    expected = SampledSoftmax(InBatch.from_counts(counts), 0.3)(
        queries, true_ids, table, training=True
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_wrong_arguments_are_refused():
    """Which ones: `tests/contract/test_negatives.py`."""
    given = Candidates(tf.ones([2, 8]), tf.constant([3, 4]), tf.ones([2]))
    contrastive_logits(given.vectors, given, given, IdDomain(3, 6))
    for negative, temperature in ((tuple(given), 1.0), (given._replace(ids=None), 1.0), (given, 0)):
        with pytest.raises(PopSamplerError, match="Candidates of three|temperature to be a finite"):
            contrastive_logits(given.vectors, given, negative, IdDomain(3, 6), temperature)
    with pytest.raises(PopSamplerError, match="queries of 7 components, item vectors of 8"):
        contrastive_logits(tf.ones([2, 7]), given, given, IdDomain(3, 6))


def test_counts_may_be_a_number_or_unused():
    given = Candidates(tf.ones([2, 8]), tf.constant([3, 4]), tf.ones([2]))
    arguments = given.vectors, given, given, IdDomain(3, 6)
    for corrects, counts in ((True, 1.0), (False, None)):
        expected = contrastive_logits(*arguments, correct_positive=corrects)
        found = contrastive_logits(
            given.vectors,
            given._replace(counts=counts),
            given._replace(counts=1.0),
            IdDomain(3, 6),
            correct_positive=corrects,
        )
        for mine, other in zip(found, expected):
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(other))
