"""Tests the comparison of early stopping with fixed epochs: arithmetic, and one full run."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "workflows"))
pytest.importorskip("torch")

import compare_stopping
import comparison_training
import early_stopping_torch

from merlin_popsampler import PopSamplerError


def test_the_comparison_by_hand():
    """Of three seeds, early stopping keeps epochs 1, 2 and 6; two epochs are the best fixed."""
    better = [[0, 3, 1, 1, 1, 9, 9], [0, 1, 3, 3, 3, 3, 3], [0, 1, 2, 3, 4, 5, 6]]
    worse = [[0] * 7] * 3
    valid = [(better[0], worse[0]), (worse[1], better[1]), (worse[2], better[2])]
    weights = [[0, 3, 2, 9, 1, 9, 0], [0, 0, 2, -9, 3, -9, 0], [0, 0, 2, 0, -4, 0, 0]]
    averages = [[8] * 7, [8, 8, 1, 8, 8, 8, 8], [8, 8, 8, 8, 8, 8, 2]]
    kinds = ("weights", "averages")
    runs = [
        compare_stopping.Run(250, dict(zip(kinds, asked)), dict(zip(kinds, later)))
        for asked, later in zip(valid, zip(weights, averages))
    ]
    assert compare_stopping.compared(runs) == {
        "early stopping": 2.0,
        "spread of early stopping": 1.0,
        "best number of epochs": 2,
        "recall after so many": 2.0,
        "spread after so many": 0.0,
        "difference": 0.0,
        "standard error": pytest.approx(1 / np.sqrt(3)),
        "epochs": [4, 5, 6],
        "epochs, times the best": 2.5,
    }


@pytest.mark.parametrize("batches", [7, 4, 3, 30])
def test_it_measures_what_early_stopping_does(batches, tmp_path, monkeypatch):
    """Compares last epoch and recall with those of a training that stops by itself."""
    for module in (compare_stopping, early_stopping_torch):
        monkeypatch.setattr(module, "STEPS", batches)
    rng = np.random.default_rng(5)
    lines = (" ".join(map(str, [user, *rng.integers(1, 30, 6)])) for user in range(40))
    (tmp_path / "toy.txt").write_text("\n".join(lines))
    sizes = ["--num-sampled", "5", "--batch-size", "60", "--dim", "8", "--epochs", "7"]
    several = ["--data", str(tmp_path / "toy.txt"), "--output", str(tmp_path / "out")]
    flags = [*several, *sizes, "--seeds", "2"]
    compare_stopping.main(flags)
    found = json.loads((tmp_path / "out" / "stopping.json").read_text())["toy"]
    assert len(found["runs"]) == 2
    args = compare_stopping.parse_args(flags)
    data = compare_stopping.read_data(args.data[0])
    for run, seed, last in zip(found["runs"], (1, 2), found["epochs"]):
        assert run["batches"] == 3
        model, report = comparison_training.train(data, compare_stopping.ROW, 5, seed, args)
        recalled, _ = compare_stopping.stopped(compare_stopping.Run(**run))
        assert report["epochs"] == last
        assert compare_stopping.recall(model, data, data.test) == recalled
        assert len(run["test"]["weights"]) == 8
        assert run["test"]["weights"] != run["test"]["averages"]


def test_data_sets_of_one_name_are_refused(tmp_path):
    """Regression: the results of the second one replaced those of the first."""
    files = [str(tmp_path / folder / "toy.txt") for folder in "ab"]
    args = compare_stopping.parse_args(["--data", *files, "--output", str(tmp_path)])
    with pytest.raises(PopSamplerError, match="names that differ"):
        compare_stopping.compare(args)
