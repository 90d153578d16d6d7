"""Compares the baselines without training with dense arithmetic."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from merlin_popsampler.core.domain import IdDomain

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
pytest.importorskip("scipy")
pytest.importorskip("tqdm")

from baselines import blended_results, blended_scorer, item_knn_scorer, popularity_scorer
from evaluate import bands_of, leave_last_out

DOMAIN = IdDomain(3, 9)


def test_popular_items_come_first():
    scores = popularity_scorer(DOMAIN)([np.array([3]), np.array([9])])
    assert scores.shape == (2, 10)
    assert (np.diff(scores[:, 3:]) < 0).all()


def test_similarities_by_hand():
    """Items 3 and 4 share one session; 3 has two sessions, 4 one. Items 4 and 5 share none."""
    score = item_knn_scorer([np.array([3, 4]), np.array([3, 5]), np.array([6])], DOMAIN)
    (found,) = score([np.array([4])])
    assert found == pytest.approx([0, 0, 0, 1 / np.sqrt(2), 1, 0, 0, 0, 0, 0])


def test_similarities_against_dense_cosines(rng):
    """Reserved ids and repetitions in a session do not count; items without sessions give 0."""
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


def test_a_blend_by_hand():
    """An item without similarity to the query loses `weight * log(0.05)`."""
    similarity = item_knn_scorer([np.array([3, 4]), np.array([3, 5]), np.array([6])], DOMAIN)
    score = blended_scorer(lambda queries: np.ones((len(queries), 10)), similarity, 2.0)
    (found,) = score([np.array([4])])
    near = 1 + 2 * np.log([1 / np.sqrt(2) + 0.05, 1.05])
    assert found[[3, 4]] == pytest.approx(near)
    assert found[5:] == pytest.approx(1 + 2 * np.log(0.05))


def test_held_out_sessions_choose_model_and_weight(tmp_path):
    """Held-out sessions pair neighbours, which item kNN predicts: the largest weight is best.

    In the reported sessions the smallest weight would be best, but they must not choose it.
    """
    domain = IdDomain(1, 40)
    pairs = [np.array([2 * place + 1, 2 * place + 2]) for place in range(20)] * 6
    frame = pd.DataFrame({"item_id": pairs, "ended": np.arange(len(pairs)) * 2 + 1})
    frame.to_parquet(tmp_path / "0.parquet")
    others = [np.array([item, 41 - item]) for item in range(1, 21)]

    def score(queries):
        """Scores the neighbour so low that only the weight 8 corrects it: 8 * log(21) = 24."""
        return np.array([np.where(np.arange(41) == ids[0] + 1, -20.0, 0.0) for ids in queries])

    curves = {"bad": {"curve": [{"recall@20": 0.3}]}, "good": {"curve": [{"recall@20": 0.6}]}}
    asked = (*leave_last_out(others), domain, bands_of(pairs, domain))
    (name,) = found = blended_results(curves, {"bad": score, "good": score}, tmp_path, asked)
    assert name == "good + kNN" and found[name]["weight"] == 8.0
