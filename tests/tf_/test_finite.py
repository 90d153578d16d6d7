"""Finite vectors and any ids give finite losses and gradients; what is not finite is seen."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.distributions import Empirical, PopularityCurve
from merlin_popsampler.tf import InBatch, PopularityBasedSampler, SampledSoftmax
from merlin_popsampler.tf.logits import Candidates, contrastive_logits, cross_entropy
from tests.conftest import SEED

DISTRIBUTION = Empirical(PopularityCurve.from_counts([300, 41, 41, 30, 9, 9, 9, 2, 1, 0, 0, 0]))
"""Of the ids 3 to 14, the last three were never counted."""
IDS = {
    "outside": [0, 1, 2, 15, 10**12, -1],
    "some outside": [3, 0, 10**12, 14, 3, -5],
    "never counted": [12, 13, 14, 14, 3, 12],
    "repeated": [3, 3, 3, 3, 14, 14],
    "one row": [7],
    "one row outside": [0],
    "one row never counted": [14],
    "no row": [],
}
SOURCES = {
    "a sampler": lambda: PopularityBasedSampler(14, 3, 5, 17, distribution=DISTRIBUTION),
    "in-batch": lambda: InBatch(14, 3, distribution=DISTRIBUTION),
    "a mixture": lambda: [SOURCES["a sampler"](), SOURCES["in-batch"]()],
}


def numbers(rows, scale=1.0):
    rng = np.random.default_rng(SEED)
    query, table = rng.normal(size=(rows, 4)), rng.normal(size=(15, 4))
    return tf.Variable(query * scale, dtype="float32"), tf.Variable(table * scale, dtype="float32")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("scale", [1.0, 1e30])
@pytest.mark.parametrize("correct", [True, False])
def test_finite_vectors_and_any_ids_give_finite_losses_and_gradients(source, name, scale, correct):
    """Ids may be outside, never counted, repeated, few or none; products may overflow."""
    query, table = numbers(len(IDS[name]), scale)
    layer = SampledSoftmax(SOURCES[source](), 1e-3, correct_positive=correct)
    ids = tf.constant(IDS[name], tf.int64)
    with tf.GradientTape() as tape:
        losses = layer(query, ids, table, training=True)
        loss = tf.reduce_sum(losses)
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, [query, table])]
    for found in (losses, *gradients, layer(query, ids, table, training=False)):
        assert np.isfinite(found).all()
    counting = [3 <= i <= 14 for i in IDS[name]]
    assert not losses.numpy()[~np.array(counting, bool)].any()


def test_the_mean_is_over_rows_with_an_item_and_not_over_those_with_a_loss():
    """A row with an item is part of the mean even if its loss is 0."""
    query, table = tf.zeros([4, 1]), np.zeros((15, 1), np.float32)
    query = tf.constant([[1.0], [1.0], [0.0], [5.0]])
    table[3] = 200.0
    layer = SampledSoftmax(PopularityBasedSampler(14, 3, 12, 17))
    losses = layer(query, tf.constant([3, 3, 3, 0]), tf.constant(table), training=True)
    assert float(tf.reduce_mean(losses)) == pytest.approx(np.log(12) / 3, rel=1e-5)


@pytest.mark.parametrize("count", [0.0, 1e-37])
def test_a_count_of_zero_gets_no_correction(count):
    """The correction takes no logarithm of 0, and adds no epsilon."""
    query, table = numbers(1)
    ids, sampled = tf.constant([3]), tf.constant([4, 5])
    own = Candidates(tf.gather(table, ids), ids, tf.constant([count]))
    others = Candidates(tf.gather(table, sampled), sampled, tf.constant([count, 1.0]))
    scores = tf.linalg.matvec(table, query[0]).numpy()[3:6]
    logs = np.log([count or 1.0, count or 1.0, 1.0])
    expected = np.logaddexp.reduce(scores - logs) - (scores - logs)[0]
    found = cross_entropy(*contrastive_logits(query, own, others, IdDomain(3, 14)))
    np.testing.assert_allclose(found, [expected], rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["query", "item", "sample"])
def test_what_is_not_finite_in_the_vectors_is_seen(value, where):
    """An infinity is not clipped to a finite number, which would hide it."""
    query, table = (each.numpy() for each in numbers(3))
    {"query": query[2], "item": table[7], "sample": table[10]}[where][1] = value
    layer, ids = SampledSoftmax(PopularityBasedSampler(14, 3, 12, 17)), tf.constant([3, 4, 7])
    for training in (True, False):
        seen = np.isnan(layer(query, ids, tf.constant(table), training=training))
        assert seen[2] and seen.all() == (where != "query")


@pytest.mark.parametrize("source", SOURCES)
def test_a_padded_row_of_nan_reaches_no_other(source):
    """Attention over no position gives a query of NaN in rows without an item."""
    query, table = numbers(4)
    query = tf.Variable(tf.concat([query[:2], [[np.nan] * 4] * 2], 0))
    ids = tf.constant([3, 4, 0, 99])
    results = []
    for rows in (4, 2):
        layer = SampledSoftmax(SOURCES[source]())
        with tf.GradientTape() as tape:
            losses = layer(query[:rows], ids[:rows], table, training=True)
            loss = tf.reduce_mean(losses)
        gradients = map(tf.convert_to_tensor, tape.gradient(loss, [query, table]))
        results.append([loss, *gradients])
    for found, expected in zip(*results):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
