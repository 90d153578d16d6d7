"""Early stopping beside a fixed number of epochs: arithmetic, and one comparison as a whole."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
pytest.importorskip("torch")

import compare_stopping


def test_the_comparison_by_hand():
    """Two epochs are best on average; of three seeds, one does better with early stopping."""
    found = [{"recall": recall, "epochs": epochs} for recall, epochs in ((3, 4), (1, 2), (2, 3))]
    curves = [[0.0, 2.0, 9.0], [0.0, 2.0, -9.0], [0.0, 2.0, 0.0]]
    assert compare_stopping.compared(found, curves) == {
        "early stopping": 2.0,
        "spread of early stopping": 1.0,
        "best number of epochs": 2,
        "recall after so many": 2.0,
        "spread after so many": 0.0,
        "difference": 0.0,
        "standard error": pytest.approx(1 / np.sqrt(3)),
        "epochs, times the best": 1.5,
    }


def test_both_trainings_start_alike_and_are_reported(tmp_path, monkeypatch):
    rng = np.random.default_rng(5)
    lines = (" ".join(map(str, [user, *rng.integers(1, 30, 6)])) for user in range(40))
    (tmp_path / "toy.txt").write_text("\n".join(lines))
    made = []
    start = compare_stopping.start

    def watched(*arguments):
        model, losses = start(*arguments)
        made.append({name: each.clone() for name, each in model.state_dict().items()})
        return model, losses

    monkeypatch.setattr(compare_stopping, "start", watched)
    monkeypatch.setattr("comparison_training.start", watched)
    sizes = ["--num-sampled", "5", "--batch-size", "16", "--dim", "8"]
    several = ["--data", str(tmp_path / "toy.txt"), "--output", str(tmp_path / "out")]
    compare_stopping.main([*several, *sizes, "--epochs", "2", "--seeds", "2"])
    assert len(made) == 4
    for stopped, fixed in (made[:2], made[2:]):
        assert all((stopped[name] == fixed[name]).all() for name in stopped)
    assert (made[0]["items.weight"] != made[2]["items.weight"]).any()
    found = json.loads((tmp_path / "out" / "stopping.json").read_text())["toy"]
    assert 1 <= found["best number of epochs"] <= 2
    assert 0 <= found["early stopping"] <= 1
