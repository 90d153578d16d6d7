"""The recommenders without training, against dense arithmetic."""

import sys
from pathlib import Path

import numpy as np
import pytest

from merlin_popsampler.core.domain import IdDomain

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
pytest.importorskip("scipy")
pytest.importorskip("tqdm")

from baselines import item_knn_scorer, popularity_scorer

DOMAIN = IdDomain(3, 9)


def test_popular_items_come_first():
    scores = popularity_scorer(DOMAIN)([np.array([3]), np.array([9])])
    assert scores.shape == (2, 10)
    assert (np.diff(scores[:, 3:]) < 0).all()


def test_similarities_by_hand():
    """3 and 4 share one session of two and of one; 4 and 5 none."""
    score = item_knn_scorer([np.array([3, 4]), np.array([3, 5]), np.array([6])], DOMAIN)
    (found,) = score([np.array([4])])
    assert found == pytest.approx([0, 0, 0, 1 / np.sqrt(2), 1, 0, 0, 0, 0, 0])


def test_similarities_against_dense_cosines(rng):
    """Reserved ids and repetitions in a session count for nothing; empty columns give 0."""
    sessions = [rng.integers(0, 9, rng.integers(2, 7)) for _ in range(60)]
    queries = [rng.integers(0, 10, rng.integers(1, 5)) for _ in range(20)]
    contains = np.array([[item in ids for item in range(10)] for ids in sessions], float)
    contains[:, :3] = 0
    sizes = contains.sum(0)
    assert sizes[9] == 0 and sizes[3] > 0
    norms = np.sqrt(np.maximum(sizes[:, None] * sizes, 1))
    cosines = contains.T @ contains / norms
    asked = np.array([[item in ids for item in range(10)] for ids in queries], float)
    asked[:, :3] = 0
    found = item_knn_scorer(sessions, DOMAIN)(queries)
    np.testing.assert_allclose(found, asked @ cosines, rtol=1e-5, atol=1e-6)
    doubled = [np.concatenate([ids, ids]) for ids in sessions]
    np.testing.assert_allclose(item_knn_scorer(doubled, DOMAIN)(queries), found, rtol=1e-5)
