"""Tests ranks of positives: small models by hand, ties in the last bits, NaN."""

import numpy as np
import pytest
import torch

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.torch import PopularityBasedSampler, SampledSoftmaxLoss, whole_catalog
from merlin_popsampler.torch.whole_catalog import score_catalog
from tests.support import ranking_cases
from tests.support.ranking_cases import with_twins

DOMAIN = IdDomain(3, 102)


@pytest.mark.parametrize("name", ranking_cases.MODELS)
@pytest.mark.parametrize("block", [1, 4, 100])
def test_ranks_of_small_models_by_hand(monkeypatch, name, block):
    """Regression: `evaluate` takes a module or a tensor, in training mode or not."""
    monkeypatch.setattr(whole_catalog, "BLOCK_BYTES", block * 4 * ranking_cases.DIM)
    vectors, expected, recall = ranking_cases.MODELS[name]
    sampler = PopularityBasedSampler(ranking_cases.MAX_ID, ranking_cases.MIN_ID, 3, 17)
    loss, table = SampledSoftmaxLoss(sampler), torch.tensor(vectors)
    queries, ids = (torch.tensor(x) for x in (ranking_cases.QUERIES, ranking_cases.TRUE_IDS))
    for training in (True, False):
        for items in (table, torch.nn.Embedding.from_pretrained(table)):
            losses, ranks = loss.train(training).evaluate(queries, ids, items)
            assert ranks.tolist() == expected
            hits = (ranks >= 0) & (ranks < ranking_cases.TOP_K)
            assert hits.sum() / (ranks >= 0).sum() == recall
            assert losses.isnan().all() == (name in {"NaN", "infinite"})


@pytest.mark.parametrize("block", [1, 7, 64, 100])
@pytest.mark.parametrize("dim", [1, 3, 64, 257])
def test_two_items_of_one_vector_tie_in_blocks_of_any_size(monkeypatch, block, dim):
    """Regression: kernels for other sizes sum in other orders, and differ in the last bits."""
    monkeypatch.setattr(whole_catalog, "BLOCK_BYTES", block * 4 * max(dim, 100))
    vectors = np.concatenate([np.zeros((3, dim), np.float32), with_twins(dim, 100)])
    query, true_ids = vectors[3:], torch.arange(3, 103)
    scores = query.astype(np.float64) @ vectors[3:].T.astype(np.float64)
    expected = (scores > np.diag(scores)[:, None] * (1 + 1e-6)).sum(1) + 1
    _, ranks = score_catalog(torch.tensor(query), true_ids, torch.tensor(vectors), DOMAIN)
    np.testing.assert_array_equal(ranks, expected)
    assert (expected == 1).sum() > 10 or dim == 1


@pytest.mark.parametrize("dim", [7, 64, 1000])
@pytest.mark.parametrize("rows", [1, 65, 130])
def test_a_collapsed_model_has_no_hits(dim, rows):
    """Regression: all vectors are equal, or equal except for the last bits of their lengths."""
    direction = torch.full((dim,), 0.1)
    lengths = 1 + torch.arange(DOMAIN.max_id + 1)[:, None] / 10
    for scale in (torch.ones_like(lengths), lengths):
        vectors = torch.nn.functional.normalize(direction * scale, dim=1)
        query = vectors[:1].repeat(rows, 1)
        _, ranks = score_catalog(query, torch.arange(3, 3 + rows) % 100 + 3, vectors, DOMAIN)
        assert ranks.tolist() == [99] * rows


def test_a_nan_score_counts_against_the_others_and_is_the_worst_itself():
    """Regression: one item's vector is NaN, or one query, excluded items apart."""
    vectors = torch.linspace(1.0, 0.0, 110)[:, None]  # id 3 is the best item
    vectors[50] = torch.nan
    query, true_ids = torch.ones(4, 1), torch.tensor([3, 10, 50, 3])
    query[3] = torch.nan
    losses, ranks = score_catalog(query, true_ids, vectors, DOMAIN)
    assert ranks.tolist() == [1, 8, 99, 99] and losses.isnan().all()
    excluded = torch.tensor([[50, 4], [50, 3], [3, 4], [50, 50]])
    losses, ranks = score_catalog(query, true_ids, vectors, DOMAIN, 1.0, excluded)
    assert ranks.tolist() == [0, 6, 97, 98]
    assert losses.isnan().tolist() == [False, False, True, True]
