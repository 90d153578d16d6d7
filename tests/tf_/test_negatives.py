"""Negatives of several sources: one expected count, and what it makes an unbiased estimate of."""

import re

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from merlin_popsampler import PopSamplerError
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.tf import SampledSoftmax
from merlin_popsampler.tf.logits import contrastive_logits
from merlin_popsampler.tf.negatives import InBatch, Mixture, as_mixture
from tests.conftest import SEED
from tests.support.small_catalog import DISTRIBUTIONS, ORACLES, sampler

DOMAIN = IdDomain(3, 14)
PROBS = ORACLES["empirical"]
ROWS = 6
TRIALS = 8000


def in_batch(**settings):
    return InBatch(
        **{"max_id": 14, "min_id": 3, "distribution": DISTRIBUTIONS["empirical"], **settings}
    )


SOURCES = {
    "samples": lambda: [sampler(distribution=DISTRIBUTIONS["empirical"], seed=SEED)],
    "samples, repeats": lambda: [
        sampler(distribution=DISTRIBUTIONS["distorted"], unique=False, seed=SEED)
    ],
    "in-batch": lambda: [in_batch()],
    "both": lambda: [sampler(distribution=DISTRIBUTIONS["empirical"], seed=SEED), in_batch()],
    "three": lambda: [
        in_batch(),
        sampler(distribution=DISTRIBUTIONS["uniform"], max_num_samples=3, seed=SEED),
        sampler(distribution=DISTRIBUTIONS["log_uniform"], seed=SEED + 1),
    ],
}


class CorrectedApart(Mixture):
    """The wrong expected count: each candidate at that of its own source."""

    def candidates(self, true_ids, true_vectors, sampled_ids, sampled_vectors):
        parts = [Mixture([source]) for source in self.sources]
        sizes = [sum(each.max_num_samples for each in part.samplers) for part in parts]
        drawn = zip(parts, tf.split(sampled_ids, sizes), tf.split(sampled_vectors, sizes))
        found = [part.candidates(true_ids, true_vectors, *own) for part, *own in drawn]
        negatives = [negative for _, negative in found]
        return found[0][0], type(negatives[0])(*(tf.concat(part, 0) for part in zip(*negatives)))


class EveryRowCounts(Mixture):
    """A wrong expected count: it also counts the row itself, and rows that are padding."""

    def expected_count(self, ids, rows):
        return super().expected_count(ids, ROWS + 1)


def sums_over_candidates(mixture, true_id):
    """Returns the sum of `exp(score) / expected count` over a row's candidates, for each trial."""
    rng = np.random.default_rng(SEED)
    scores = tf.constant(np.random.default_rng(3).normal(size=15), tf.float32)[:, None]
    batches = rng.choice(np.arange(3, 15), p=PROBS, size=[TRIALS, ROWS])
    batches[:, 0] = true_id
    batches[:, 5] = 1  # a row that does not count

    def one(true_ids):
        drawn = mixture.sample_ids()
        positive, negative = mixture.candidates(
            true_ids, tf.gather(scores, true_ids), drawn, tf.gather(scores, drawn)
        )
        _, logits = contrastive_logits(tf.ones([ROWS, 1]), positive, negative, DOMAIN)
        return tf.reduce_sum(tf.exp(logits[0]))

    loop = tf.function(
        lambda: tf.map_fn(one, tf.constant(batches), tf.float32, parallel_iterations=1)
    )
    others = np.delete(np.arange(3, 15), true_id - 3)
    return loop().numpy().astype(np.float64), np.exp(scores.numpy()[others, 0]).sum()


def deviation(mixture, true_id):
    sums, expected = sums_over_candidates(mixture, true_id)
    return (sums.mean() - expected) / (sums.std() / np.sqrt(len(sums)))


@pytest.mark.parametrize(
    ("sources", "true_id"), [*((name, 8) for name in SOURCES), ("both", 3), ("three", 3)]
)
def test_the_candidates_estimate_the_sum_over_all_items_but_the_positive(sources, true_id):
    assert abs(deviation(Mixture(SOURCES[sources]()), true_id)) < 5


@pytest.mark.parametrize("wrong", [CorrectedApart, EveryRowCounts])
@pytest.mark.parametrize("sources", ["both", "three"])
def test_wrong_expected_counts_are_told(wrong, sources):
    assert abs(deviation(wrong(SOURCES[sources]()), 8)) > 5


def test_an_id_costs_the_same_whatever_it_came_by():
    both = Mixture(SOURCES["both"]())
    ids = np.arange(16)
    alone = both.samplers[0].expected_count(ids).numpy()
    expected = alone.copy()
    expected[3:15] += 4 * PROBS
    np.testing.assert_allclose(both.expected_count(ids, 5), expected, rtol=1e-5)
    np.testing.assert_array_equal(both.expected_count(ids, 5)[:3], [1, 1, 1])
    vectors = tf.zeros([3, 2])
    positive, negative = both.candidates(
        tf.constant([3, 0, 14]), vectors, both.sample_ids(), tf.ones([5, 2])
    )
    assert negative.ids.shape == [8] and positive.ids.numpy().tolist() == [3, 0, 14]
    np.testing.assert_array_equal(negative.vectors[:, 0], [0, 0, 0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(negative.counts, both.expected_count(negative.ids, 2))


def test_one_row_has_no_other_rows():
    alone = Mixture([in_batch()])
    for rows in (0, 1):
        np.testing.assert_array_equal(alone.expected_count([3, 14, 0], rows), [1, 1, 1])


def test_a_mixture_is_the_same_after_its_configuration():
    mixture = Mixture(SOURCES["three"]())
    again = Mixture.from_config(mixture.get_config())
    ids = np.arange(16)
    np.testing.assert_array_equal(again.expected_count(ids, 7), mixture.expected_count(ids, 7))
    np.testing.assert_array_equal(again.sample_ids(), mixture.sample_ids())
    assert as_mixture(mixture) is mixture
    assert [type(source) for source in as_mixture(SOURCES["both"]()).sources] == [
        type(source) for source in SOURCES["both"]()
    ]


def test_what_cannot_be_mixed_is_refused():
    for sources in ([], [in_batch(), in_batch()], ["in-batch"], [object()]):
        with pytest.raises(PopSamplerError, match="at most one InBatch"):
            Mixture(sources)
    with pytest.raises(PopSamplerError, match="same ids"):
        Mixture([sampler(), sampler(max_id=15)])


@pytest.mark.parametrize("distribution", ["log_uniform", "uniform", "distorted"])
def test_in_batch_negatives_follow_the_counts_of_the_data(distribution):
    with pytest.raises(PopSamplerError, match="measured distribution"):
        in_batch(distribution=DISTRIBUTIONS[distribution])


# ------------------------------------------------------------------ draws from outside


def given(sources):
    """Returns draws of equal samplers, and the expected counts over all of these samplers."""
    twin = Mixture(Mixture(sources()).samplers)
    ids = twin.sample_ids()
    return ids, twin.expected_count(ids, 0)


@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("sources", ["samples", "both", "three"])
def test_draws_from_outside_give_the_loss_of_the_same_draws(sources, correct):
    rng, ids = np.random.default_rng(3), np.array([3, 14, 7, 7, 0, 5])
    query, table = (tf.constant(rng.normal(size=(n, 4)), tf.float32) for n in (6, 15))
    layers = [SampledSoftmax(SOURCES[sources](), correct_positive=correct) for _ in range(2)]
    values = given(SOURCES[sources])
    found = layers[0](query, ids, table, training=True, sampled_values=values)
    np.testing.assert_allclose(found, layers[1](query, ids, table, training=True), rtol=1e-6)
    # The loss drew no batch, so the stream of the layer begins with the batch that was passed.
    np.testing.assert_array_equal(layers[0].negatives.sample_ids(), values[0])
    evaluated = layers[0](query, ids, table, training=False, sampled_values=values)
    np.testing.assert_allclose(evaluated, layers[1](query, ids, table, training=False))


def test_a_functional_model_takes_draws_as_inputs():
    users, items = (tf.keras.Input([], dtype="int64") for _ in range(2))
    drawn = tf.keras.Input(batch_shape=[5], dtype="int64")
    counts = tf.keras.Input(batch_shape=[5], dtype="float32")
    queries = tf.keras.layers.Embedding(20, 4, name="users")(users)
    layer, table = SampledSoftmax(sampler()), tf.keras.layers.Embedding(15, 4)
    losses = layer(queries, items, table, sampled_values=(drawn, counts))
    model = tf.keras.Model([users, items, drawn, counts], losses)
    arrays = [np.arange(6), np.arange(3, 9), *(values.numpy() for values in given(sampler))]
    found = model(arrays, training=True)
    expected = SampledSoftmax(sampler())(
        tf.gather(model.get_layer("users").get_weights()[0], arrays[0]),
        arrays[1],
        tf.constant(table.get_weights()[0]),
        training=True,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("values", "received"),
    [
        (np.arange(3, 8), " of (5,). Pass"),  # Keras 3 makes a tensor of it
        ((np.arange(3, 8),), "Received: tuple of (5,)."),
        ((np.arange(3, 7), np.ones(4)), "Received: tuple of (4,) and (4,)."),
        ((np.arange(3, 8)[None], np.ones([1, 5])), "Received: tuple of (1, 5) and (1, 5)."),
        ((np.arange(3, 8), None), "Received: tuple of (5,) and NoneType."),
        ((np.ones(5), np.ones(5)), "integer ids"),
    ],
)
def test_draws_of_another_form_are_refused(values, received, training):
    arrays, settings = (
        (tf.zeros([2, 4]), np.array([3, 4]), tf.zeros([15, 4])),
        {"training": training},
    )
    with pytest.raises(PopSamplerError, match=re.escape(received)):
        SampledSoftmax(sampler())(*arrays, sampled_values=values, **settings)
    with pytest.raises(PopSamplerError, match="sampled_values with in-batch negatives alone"):
        SampledSoftmax(in_batch())(*arrays, sampled_values=([3], [1.0]), **settings)
