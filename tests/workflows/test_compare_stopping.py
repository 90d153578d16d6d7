"""What a search is worth, on hits whose chances are known, and one small comparison as a whole."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
pytest.importorskip("tqdm")
pytest.importorskip("merlin.models", reason="needs merlin.models")

import compare_stopping


def test_equal_places_are_worth_what_each_is(rng):
    """Sixty looks at models that hit every tenth session each: the best look seems better."""
    searched = rng.random((60, 500)) < 0.1
    found = compare_stopping.worth(np.full(500, 0.1), searched, rng)
    assert found["without flags"] == pytest.approx(0.1)
    assert found["best look at all"] > 0.12
    assert abs(found["chosen on a half, judged on the other"] - searched.mean()) < 0.01


def test_a_better_place_is_found(rng):
    searched = rng.random((10, 2000)) < np.where(np.arange(10) == 7, 0.3, 0.1)[:, None]
    found = compare_stopping.worth(np.zeros(2000), searched, rng)
    better = searched[7].mean()
    assert found["best look at all"] == better
    assert found["chosen on a half, judged on the other"] == pytest.approx(better, abs=0.01)
