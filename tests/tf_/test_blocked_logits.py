"""Logits in blocks: the losses and gradients of the whole matrix, in every way of running."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from merlin_popsampler.tf import InBatch, SampledSoftmax, blocked_logits
from tests.support.small_catalog import DISTRIBUTIONS, sampler

IDS = np.array([3, 14, 7, 7, 12, 5, 0])
EXCLUDED = [[4, 14], [0, 0], [3, 7], [5, 9, 9], [], [13, 6], [3, 4]]
HARD = [[5, 8], [9], [4, 4], [6, 10], [9, 0], [14, 7], [4, 5]]
ALL_SOURCES = {
    "samples": sampler,
    "repeats": lambda: sampler(unique=False, max_num_samples=12),
    "mixture": lambda: [sampler(), InBatch(14, 3, distribution=DISTRIBUTIONS["empirical"])],
}


def numbers():
    rng = np.random.default_rng(3)
    return rng.normal(size=(7, 4)).astype(np.float32), rng.normal(size=(15, 4)).astype(np.float32)


def step_of(sources, signature=None, jit_compile=None, **lists):
    """Losses and gradients of the first batch of draws, eagerly or in a graph."""
    layer, table = SampledSoftmax(ALL_SOURCES[sources](), 0.5), tf.Variable(numbers()[1])

    def step(query, ids):
        with tf.GradientTape() as tape:
            tape.watch(query)
            losses = layer(query, ids, table, training=True, **lists)
            total = tf.reduce_sum(losses * tf.linspace(-1.0, 2.0, 7))  # weights that come later
        return losses, *map(tf.convert_to_tensor, tape.gradient(total, [query, table]))

    if signature or jit_compile:
        step = tf.function(step, input_signature=signature, jit_compile=jit_compile)
    return [each.numpy() for each in step(tf.constant(numbers()[0]), tf.constant(IDS))]


def in_blocks(monkeypatch, width):
    monkeypatch.setattr(blocked_logits, "LARGE_BYTES", 4 * 7 * 2)
    monkeypatch.setattr(blocked_logits, "BLOCK_BYTES", 4 * 7 * width)


def assert_equal(found, expected):
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=2e-6)


def test_an_id_that_is_repeated_often_has_a_finite_weight(monkeypatch):
    """The sum of 64 times 1 / 1e-37 is above the largest float32."""
    query, table = (tf.constant(each) for each in numbers())
    values = tf.fill([64], tf.constant(9, tf.int64)), tf.fill([64], 1e-37)
    layer = SampledSoftmax(sampler(unique=False, max_num_samples=64))
    expected = layer(query, IDS, table, training=True, sampled_values=values)
    in_blocks(monkeypatch, 3)
    found = layer(query, IDS, table, training=True, sampled_values=values)
    assert np.isfinite(expected).all()
    assert_equal([found], [expected])


@pytest.mark.parametrize("width", [1, 3, 30])
@pytest.mark.parametrize("hard", [None, HARD], ids=["", "hard"])
@pytest.mark.parametrize("excluded", [None, EXCLUDED], ids=["", "excluded"])
@pytest.mark.parametrize("sources", ALL_SOURCES)
def test_blocks_give_the_numbers_of_the_whole_matrix(monkeypatch, sources, excluded, hard, width):
    given = {"excluded_ids": excluded, "hard_negative_ids": hard}
    lists = {name: tf.ragged.constant(ids) for name, ids in given.items() if ids is not None}
    expected = step_of(sources, **lists)
    in_blocks(monkeypatch, width)
    assert_equal(step_of(sources, **lists), expected)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("rows", [None, 7])
def test_graphs_of_known_and_unknown_rows(monkeypatch, rows, jit_compile):
    lists = {"excluded_ids": tf.ragged.constant(EXCLUDED).to_tensor()}
    signature = [tf.TensorSpec([rows, 4]), tf.TensorSpec([rows], tf.int64)]
    small = step_of("mixture", signature, jit_compile, **lists)
    expected = step_of("mixture", **lists)
    assert_equal(small, expected)
    in_blocks(monkeypatch, 3)
    assert_equal(step_of("mixture", signature, jit_compile, **lists), expected)


def test_no_matrix_of_logits_is_larger_than_a_block(monkeypatch):
    sizes, whole = [], blocked_logits.block_scores
    in_blocks(monkeypatch, 3)

    def watched(*arguments):
        sizes.append(tuple(whole(*arguments).shape))
        return whole(*arguments)

    monkeypatch.setattr(blocked_logits, "block_scores", watched)
    monkeypatch.setattr(blocked_logits, "contrastive_logits", None)
    step_of("samples")
    assert sizes == 4 * [(7, 3)]


def test_small_batches_are_not_in_blocks(monkeypatch):
    monkeypatch.setattr(blocked_logits, "over_blocks", None)
    step_of("samples")
