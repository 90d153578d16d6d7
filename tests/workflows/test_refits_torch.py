"""The loop of refits: fit, train, new data, refit, warm start, train; and each step, killed."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from tests.support.programs import WORKFLOWS, killed, run

sys.path.insert(0, str(WORKFLOWS))

import compare_refits
import refits
import train_torch
from splits import ITEM

from merlin_popsampler import PopSamplerError
from tests.support.workflow_helpers import bytes_below

COLUMNS = ("--user-col", "basket", "--item-col", "product", "--time-col", "when")
SMALL = ("--epochs", "1", "--num-sampled", "20", "--batch-size", "256", "--dim", "8")


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The file of interactions, and the folder of the first run with its models."""
    folder = tmp_path_factory.mktemp("refits")
    rng = np.random.default_rng(17)
    rows = [
        (session, f"g{group}-{item}", session)
        for session in range(600)
        for group in rng.integers(5 + session // 100, size=1)
        for item in rng.choice(8, 4, replace=False)
    ]
    pd.DataFrame(rows, columns=COLUMNS[1::2]).to_csv(folder / "raw.csv", index=False)
    data = ("--data", folder / "raw.csv", *COLUMNS)
    run("preprocess.py", *data, "--output", folder / "old", "--train-share", 0.667)
    models = folder / "old" / "models"
    train_torch.main(["--data", str(folder / "old"), "--output", str(models), *SMALL])
    return data, folder / "old"


@pytest.fixture(scope="module")
def second(first):
    """The folder of the second run, which follows the first."""
    data, old = first
    new = old.parent / "new"
    run("preprocess.py", *data, "--output", new, "--refit-of", old)
    return new


def test_a_refit_says_what_moved(first, second):
    summaries = [json.loads((each / "preprocess.json").read_text()) for each in (first[1], second)]
    old, new = (summary["items"] for summary in summaries)
    assert summaries[1]["kept_items"] + summaries[1]["new_items"] == new
    assert summaries[1]["kept_items"] + summaries[1]["gone_items"] == old
    assert summaries[1]["new_items"] > 0
    assert summaries[0]["valid_sessions"] == summaries[1]["valid_sessions"]


def test_the_new_models_begin_with_the_old_rows(first, second, monkeypatch, capsys):
    old, ids = first[1] / "models", refits.read_id_maps(second)[ITEM]
    seen = {}
    original = train_torch.warm_start

    def noted(model, *arguments, **options):
        report = original(model, *arguments, **options)
        seen[type(model).__name__.lower()] = {k: v.clone() for k, v in model.state_dict().items()}
        return report

    monkeypatch.setattr(train_torch, "warm_start", noted)
    output = second / "models"
    train_torch.main(
        ["--data", str(second), "--output", str(output), "--warm-start", str(old), *SMALL]
    )
    assert sorted(seen) == ["retrieval", "session"]
    for name, state in seen.items():
        before = torch.load(old / f"{name}.pt")
        kept = np.flatnonzero(ids.old_ids >= 0)
        for table in [key for key in ("items.weight", "read.weight") if key in state]:
            assert torch.equal(state[table][kept], before[table][ids.old_ids[kept]])
        assert (output / f"{name}.pt").exists()
    assert "rows kept" in capsys.readouterr().out


def test_a_warm_start_is_compared_with_training_from_scratch(first, second, tmp_path):
    """Equal seeds, so that the pairs differ by the way alone; the earlier run is only read."""
    before = bytes_below(first[1])
    flags = ["--old", first[1], "--data", second, "--output", tmp_path, "--epochs", "2"]
    compare_refits.main([*map(str, flags), "--seeds", "17", "18"])
    found = json.loads((tmp_path / "compare_refits.json").read_text())
    recalls = [np.mean(found[f"recall@20 {name}"]) for name in ("warm", "scratch")]
    assert found["difference"] == pytest.approx(recalls[0] - recalls[1])
    assert min(recalls) > 0 and found["standard_error"] >= 0
    assert len(found["seconds warm"]) == len(found["seconds scratch"]) == 2
    assert bytes_below(first[1]) == before


@pytest.mark.parametrize("name", ["read_interactions", "build_workflow", "write_refit"])
def test_a_refit_that_is_killed_leaves_the_old_run_whole(name, first, tmp_path):
    data, old = first
    before = bytes_below(old)
    killed("preprocess", name, *data, "--output", tmp_path, "--refit-of", old)
    assert bytes_below(old) == before
    assert not (tmp_path / refits.REFIT).exists()
    with pytest.raises(PopSamplerError, match="with --refit-of"):
        refits.read_id_maps(tmp_path)


@pytest.mark.parametrize("name", ["read_id_maps", "warm_start", "train_until_no_better", "report"])
def test_a_training_that_is_killed_leaves_the_old_models_whole(name, first, second, tmp_path):
    before = bytes_below(first[1])
    arguments = ("--data", second, "--output", tmp_path, "--warm-start", first[1] / "models")
    killed("train_torch", name, *arguments, *SMALL)
    assert bytes_below(first[1]) == before
    assert list(tmp_path.glob("*.pt")) == []


def test_the_old_run_is_not_written_over(first, second):
    old = first[1]
    before = bytes_below(old)
    with pytest.raises(PopSamplerError, match="another folder"):
        refits.check_earlier(old, old)
    with pytest.raises(PopSamplerError, match="another folder"):
        refits.check_earlier(old / "models", second)
    for output, earlier in ((old / "models", old / "models"), (second / "models", second)):
        with pytest.raises(PopSamplerError, match="output of an earlier run|--output of"):
            refits.checkpoint(earlier, "retrieval.pt", output)
    assert bytes_below(old) == before
