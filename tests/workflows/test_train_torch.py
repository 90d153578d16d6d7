"""Tests the workflow in PyTorch: queries and positives of its models, and training."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflows"))

import compare_refits
import comparison_data
import models_torch
import train_torch
from comparison_data import read_data

from merlin_popsampler import PopSamplerError
from merlin_popsampler.contract.metadata import PopularityMetadata

POPULARITY = PopularityMetadata(3, 10, True, "counted", steps="3:9,4:5,5:6,7:4,11")
IDS, LENGTHS = torch.tensor([3, 5, 9, 10, 4]), torch.tensor([3, 2])


def test_a_table_that_finds_the_popular():
    items = models_torch.popular_items(POPULARITY, 4)
    assert items.weight.shape == (11, 5)
    shares = np.array([9, 5, 3, 3, 1, 1, 1, 1]) / 24
    np.testing.assert_allclose(items.weight[3:, 4].detach().exp(), shares, rtol=1e-5)


def test_each_item_is_asked_for_by_the_mean_of_the_others():
    model = models_torch.Retrieval(models_torch.popular_items(POPULARITY, 4))
    vectors = model.read.weight
    others = [[5, 9], [3, 9], [3, 5], [4], [10]]
    expected = torch.stack([vectors[ids].mean(0) for ids in others])
    torch.testing.assert_close(model.queries(IDS, LENGTHS), expected)
    assert model.positives(IDS, LENGTHS).tolist() == IDS.tolist()
    model.eval()
    found = model(IDS, LENGTHS)
    expected = torch.stack([vectors[IDS[:3]].mean(0), vectors[IDS[3:]].mean(0)])
    torch.testing.assert_close(found[:, :4], expected)
    assert found[:, 4].tolist() == [1.0, 1.0]


def test_each_item_but_the_first_is_asked_for_by_those_before_it():
    model = models_torch.Session(models_torch.popular_items(POPULARITY, 4))
    vectors = model.items.weight[:, :-1]

    def state(*ids):
        return model.reader(vectors[list(ids)][:, None])[1][0, 0]

    expected = torch.stack([state(3), state(3, 5), state(10)])
    torch.testing.assert_close(model.queries(IDS, LENGTHS), expected)
    assert model.positives(IDS, LENGTHS).tolist() == [5, 9, 4]
    model.eval()
    expected = torch.stack([state(3, 5, 9), state(10, 4)])
    torch.testing.assert_close(model.queries(IDS, LENGTHS), expected)


def test_batches_leave_out_what_is_held_out_unknown_or_alone():
    loader = [
        (
            {
                "item_id__values": torch.tensor([3, 0, 4, 5, 6, 7, 1, 8]),
                "item_id__offsets": torch.tensor([0, 3, 5, 6, 8], dtype=torch.int32),
                "ended": torch.tensor([[1], [9], [2], [3]]),
            },
            None,
        )
    ]
    ((ids, lengths),) = train_torch.batches(loader, until=5, min_id=3)
    assert (ids.tolist(), lengths.tolist()) == ([3, 4], [2])
    assert list(train_torch.batches(loader, until=0, min_id=3)) == []


@pytest.fixture(scope="module")
def preprocessed(tmp_path_factory):
    """Returns baskets of one group each, which a model can learn, unlike popularity."""
    folder = tmp_path_factory.mktemp("demo")
    rng, rows = np.random.default_rng(17), []
    for session in range(1500):
        group = rng.integers(20)
        chosen = rng.choice(15, 4, replace=False)
        rows += [(session, f"g{group}-{item}", session) for item in chosen]
    pd.DataFrame(rows, columns=["user", "item", "time"]).to_csv(folder / "raw.csv", index=False)
    script = ROOT / "workflows" / "preprocess.py"
    columns = ("--user-col", "user", "--item-col", "item", "--time-col", "time")
    command = [sys.executable, script, "--data", folder / "raw.csv", "--output", folder / "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*map(str, command), *columns], env=environment, check=True, timeout=500)
    return folder / "out"


def test_models_learn_and_beat_popularity(preprocessed, tmp_path, capsys):
    sizes = ("--num-sampled", "60", "--batch-size", "128", "--dim", "16")
    arguments = ("--data", str(preprocessed), "--output", str(tmp_path), "--epochs", "6")
    train_torch.main([*arguments, *sizes])
    results = json.loads((tmp_path / "results.json").read_text())
    *names, both = results
    assert names == ["popularity", "item kNN", "retrieval", "session"]
    best = max(names[2:], key=lambda name: results[name]["curve"][-1]["recall@20"])
    assert both == f"{best} + kNN"
    for name in ("retrieval", "session"):
        assert results[name]["recall@20"] > 2 * results["popularity"]["recall@20"]
        assert results[name]["curve"][0]["epoch"] == 0
        state = torch.load(tmp_path / f"{name}.pt", weights_only=True)
        assert state["model"]["items.weight"].ndim == 2
    assert "times popularity" in capsys.readouterr().out


def test_data_of_a_run_that_did_not_end_are_refused(preprocessed, tmp_path):
    whole = shutil.copytree(preprocessed, tmp_path / "data")
    (whole / "preprocess.json").unlink()
    for program in (train_torch.main, compare_refits.main):
        flags = ("--data", whole, "--output", tmp_path / "o")
        old = ("--old", preprocessed) if program is compare_refits.main else ()
        with pytest.raises(SystemExit, match="that ended.*preprocess.json"):
            program([*map(str, (*flags, *old))])
    with pytest.raises(PopSamplerError, match="that ended.*preprocess.json"):
        read_data(whole)


def test_sessions_without_two_known_items_are_refused(preprocessed, monkeypatch):
    sessions = [np.array([3, 2, 2]), np.array([2, 2])]
    monkeypatch.setattr(comparison_data, "read_sessions", lambda *_, **__: sessions)
    with pytest.raises(PopSamplerError, match="two or more known items.*smaller --min-count"):
        read_data(preprocessed)
