"""Cross-entropy and rank among all items, in blocks: against the whole matrix in NumPy."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.tf import whole_catalog
from merlin_popsampler.tf.whole_catalog import score_catalog
from tests.conftest import SEED
from tests.support import ranking_cases
from tests.support.loss_oracles import ranked_by_hand
from tests.support.ranking_cases import with_twins

DOMAIN = IdDomain(3, 102)
EXCLUDED = [[4, 5, 102], [], [99], [0, 1, 2, 103], [50, 50]]


def numbers():
    rng = np.random.default_rng(SEED)
    return rng.normal(size=(5, 4)), rng.normal(size=(110, 4)), np.array([3, 102, 60, 60, 7])


@pytest.mark.parametrize("block", [1, 7, 50, 100, 1000])
@pytest.mark.parametrize("compiled", [False, True])
def test_blocks_of_any_size_answer_as_the_whole_matrix(monkeypatch, block, compiled):
    monkeypatch.setattr(whole_catalog, "BLOCK_BYTES", block * 4 * 5)
    query, vectors, true_ids = numbers()

    excluded = tf.ragged.constant(EXCLUDED, dtype=tf.int64).to_tensor()

    @tf.function(jit_compile=compiled)
    def graph(query, true_ids):
        return score_catalog(query, true_ids, tf.constant(vectors), DOMAIN, 0.3, excluded)

    losses, ranks = graph(query, tf.constant(true_ids))
    expected_losses, expected_ranks = ranked_by_hand(query, vectors, true_ids, 0.3, EXCLUDED)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    np.testing.assert_array_equal(ranks, expected_ranks)
    assert losses.dtype == tf.float32 and ranks.dtype == tf.int32


def test_batches_of_unknown_size_and_ragged_exclusions(monkeypatch):
    monkeypatch.setattr(whole_catalog, "BLOCK_BYTES", 300)
    query, vectors, true_ids = numbers()
    signature = [tf.TensorSpec([None, 4]), tf.TensorSpec([None], tf.int32)]
    signature.append(tf.RaggedTensorSpec([None, None], tf.int64))
    graph = tf.function(
        lambda query, ids, excluded: score_catalog(
            query, ids, tf.constant(vectors, tf.float32), DOMAIN, 1.0, excluded
        ),
        signature,
    )
    found = graph(
        tf.cast(query, tf.float32),
        tf.cast(true_ids, tf.int32),
        tf.ragged.constant(EXCLUDED, dtype=tf.int64),
    )
    expected = ranked_by_hand(query, vectors, true_ids, 1.0, EXCLUDED)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    np.testing.assert_array_equal(found[1], expected[1])
    nothing = graph(
        tf.zeros([0, 4]),
        tf.zeros([0], tf.int32),
        tf.RaggedTensor.from_row_lengths(tf.zeros([0], tf.int64), tf.zeros([0], tf.int64)),
    )
    assert [part.shape for part in nothing] == [[0], [0]]


@pytest.mark.parametrize("block", [1, 7, 64, 100])
@pytest.mark.parametrize("dim", [1, 3, 64, 257])
def test_two_items_of_one_vector_tie_in_blocks_of_any_size(monkeypatch, block, dim):
    """Regression: kernels for other sizes add in another order, which changes the last bits."""
    monkeypatch.setattr(whole_catalog, "BLOCK_BYTES", block * 4 * max(dim, 100))
    vectors = np.concatenate([np.zeros((3, dim), np.float32), with_twins(dim, 100)])
    # Each row asks for its item, so that the twin alone is as good.
    query, true_ids = vectors[3:], np.arange(3, 103)
    scores = query.astype(np.float64) @ vectors[3:].T.astype(np.float64)
    own = np.diag(scores)[:, None]
    expected = (scores > own * (1 + 1e-6)).sum(1) + 1
    _, ranks = score_catalog(query, true_ids, tf.constant(vectors), DOMAIN)
    np.testing.assert_array_equal(ranks, expected)
    assert (expected == 1).sum() > 10 or dim == 1


def test_a_nan_score_counts_against_the_others_and_is_the_worst_itself():
    """Regression: the vector of one item, or one query, is NaN."""
    vectors = np.linspace(1.0, 0.0, 110, dtype=np.float32)[:, None]  # id 3 is the best of all
    vectors[50] = np.nan
    query, true_ids = np.ones((4, 1), np.float32), [3, 10, 50, 3]
    query[3] = np.nan
    losses, ranks = score_catalog(query, true_ids, tf.constant(vectors), DOMAIN)
    np.testing.assert_array_equal(ranks, [1, 8, 99, 99])
    assert np.isnan(losses).all()
    excluded = [[50, 4], [50, 3], [3, 4], [50, 50]]
    losses, ranks = score_catalog(query, true_ids, tf.constant(vectors), DOMAIN, 1.0, excluded)
    np.testing.assert_array_equal(ranks, [0, 6, 97, 98])
    np.testing.assert_array_equal(np.isnan(losses), [False, False, True, True])


@pytest.mark.parametrize("name", ranking_cases.MODELS)
@pytest.mark.parametrize("block", [1, 4, 100])
@pytest.mark.parametrize("traced", [False, True])
def test_ranks_of_small_models_by_hand(monkeypatch, name, block, traced):
    """Regression: NaN and ties."""
    monkeypatch.setattr(whole_catalog, "BLOCK_BYTES", block * 4 * ranking_cases.DIM)
    vectors, expected, _ = ranking_cases.MODELS[name]
    domain = IdDomain(ranking_cases.MIN_ID, ranking_cases.MAX_ID)
    run = tf.function(score_catalog) if traced else score_catalog
    _, ranks = run(
        tf.constant(ranking_cases.QUERIES),
        tf.constant(ranking_cases.TRUE_IDS),
        tf.constant(vectors),
        domain,
    )
    np.testing.assert_array_equal(ranks, expected)


def test_no_matrix_is_larger_than_a_block():
    query, items = tf.zeros([512, 8]), tf.zeros([1_000_000, 8])
    domain = IdDomain(0, 999_999)
    graph = tf.function(lambda ids: score_catalog(query, ids, items, domain)).get_concrete_function(
        tf.TensorSpec([512], tf.int64)
    )
    bodies = [graph.graph, *(function.graph for function in graph.graph._functions.values())]
    sizes = [
        np.prod(tensor.shape)
        for body in bodies
        for operation in body.get_operations()
        for tensor in operation.outputs
        if tensor.shape.is_fully_defined() and tensor.shape != items.shape
    ]
    assert len(bodies) > 1 and max(sizes) * 4 == whole_catalog.BLOCK_BYTES


def test_equal_scores_count_against_the_positive_and_one_item_is_always_first():
    """Regression: all scores are equal."""
    losses, ranks = score_catalog(tf.ones([2, 1]), [3, 9], tf.ones([110, 1]), DOMAIN)
    np.testing.assert_allclose(losses, np.log(100), rtol=1e-6)
    np.testing.assert_array_equal(ranks, [99, 99])
    losses, ranks = score_catalog(tf.ones([1, 1]), [3], tf.ones([4, 1]), IdDomain(3, 3))
    assert losses.numpy().tolist() == [0.0] and ranks.numpy().tolist() == [0]
