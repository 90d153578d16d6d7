"""Tests refits in PyTorch: fit, train, refit, warm start, train; each step is killed once."""

import json
import sys
from contextlib import closing

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.programs import WORKFLOWS, Programs, interactions, write_interactions

sys.path.insert(0, str(WORKFLOWS))

import compare_refits
import refits
import train_torch
from splits import ITEM

from merlin_popsampler import PopSamplerError
from tests.support.workflow_helpers import bytes_below

SMALL = ("--epochs", "1", "--num-sampled", "20", "--batch-size", "256", "--dim", "8")
MODELS = ("retrieval.pt", "session.pt")
KILLS = {
    "torch.serialization._save": (),  # in the middle of a file
    "train_torch.blended_results": MODELS,
}


# Each step is killed, must leave earlier steps unchanged, and is run again.


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    names = ["nvtabular", "preprocess", "train_torch"]
    with closing(Programs(names, tmp_path_factory.mktemp("programs"))) as programs:
        yield programs


@pytest.fixture(scope="module")
def trained(programs, tmp_path_factory):
    """Returns a folder with interactions, a fit in `old` and models in `old-models`."""
    folder = tmp_path_factory.mktemp("refits")
    write_interactions(folder / "raw.csv")
    flags = (*interactions(folder / "raw.csv"), "--train-share", 0.667)
    old, models = folder / "old", folder / "old-models"
    programs.killed_then_run("preprocess", {"preprocess.in_partitions": ()}, *flags, output=old)
    flags = ("--data", old, *SMALL)
    programs.killed_then_run("train_torch", KILLS, *flags, output=models, kept=[old])
    return folder


@pytest.fixture(scope="module")
def refit(programs, trained):
    """Returns the same folder with a refit in `new`."""
    flags = (*interactions(trained / "raw.csv"), "--refit-of", trained / "old")
    kills = {"preprocess.in_partitions": (), "preprocess.write_refit": ("train", "workflow")}
    kept = [trained / "old", trained / "old-models"]
    programs.killed_then_run("preprocess", kills, *flags, output=trained / "new", kept=kept)
    return trained


@pytest.fixture(scope="module")
def loop(programs, refit):
    """Returns the same folder with warm-started models in `new-models`."""
    flags = ("--data", refit / "new", "--warm-start", refit / "old-models", *SMALL)
    kept = [refit / name for name in ("old", "old-models", "new")]
    kills = {"train_torch.warm_start": (), **KILLS}
    output = refit / "new-models"
    programs.killed_then_run("train_torch", kills, *flags, output=output, kept=kept)
    return refit


def test_a_refit_says_what_moved(refit):
    before, after = (
        json.loads((refit / name / "preprocess.json").read_text()) for name in ("old", "new")
    )
    assert after["kept_items"] + after["new_items"] == after["items"]
    assert after["kept_items"] + after["gone_items"] == before["items"]
    assert after["new_items"] > 0
    assert before["valid_sessions"] == after["valid_sessions"]


def test_the_new_models_begin_with_the_old_rows_and_moments(loop, tmp_path, monkeypatch, capsys):
    ids = refits.read_id_maps(loop / "new")[ITEM]
    kept = np.flatnonzero(ids.old_ids >= 0)
    seen = {}
    original = train_torch.warm_start

    def noted(model, *arguments, optimizer, **options):
        report = original(model, *arguments, optimizer=optimizer, **options)
        moments = [optimizer.state[weight]["exp_avg"].clone() for weight in model.parameters()]
        weights = {key: value.clone() for key, value in model.state_dict().items()}
        seen[type(model).__name__.lower()] = weights, moments
        return report

    monkeypatch.setattr(train_torch, "warm_start", noted)
    flags = ("--data", loop / "new", "--warm-start", loop / "old-models", "--output", tmp_path)
    train_torch.main([*map(str, flags), *SMALL])
    assert sorted(seen) == ["retrieval", "session"]
    for name, (weights, moments) in seen.items():
        before = torch.load(loop / "old-models" / f"{name}.pt")
        for table in [key for key in ("items.weight", "read.weight") if key in weights]:
            assert torch.equal(weights[table][kept], before["model"][table][ids.old_ids[kept]])
        old_moment = before["optimizer"]["state"][0]["exp_avg"]
        assert old_moment.any()
        assert torch.equal(moments[0][kept], old_moment[ids.old_ids[kept]])
    assert capsys.readouterr().out.count("state of the optimizer: exp_avg, exp_avg_sq") == 3


def test_a_warm_start_is_compared_with_training_from_scratch(loop, tmp_path):
    """Pairs share a seed, so they differ only in the method; the earlier run is only read."""
    before = bytes_below(loop)
    flags = ["--old", loop / "old", "--data", loop / "new", "--output", tmp_path, "--epochs", "2"]
    compare_refits.main([*map(str, flags), "--seeds", "17", "18"])
    found = json.loads((tmp_path / "compare_refits.json").read_text())
    recalls = [np.mean(found[f"recall@20 {name}"]) for name in ("warm", "scratch")]
    assert found["difference"] == pytest.approx(recalls[0] - recalls[1])
    assert min(recalls) > 0 and found["standard_error"] >= 0
    assert len(found["seconds warm"]) == len(found["seconds scratch"]) == 2
    assert bytes_below(loop) == before


def test_the_old_run_is_not_written_over(loop, tmp_path):
    old, models, new = loop / "old", loop / "old-models", loop / "new"
    with pytest.raises(PopSamplerError, match="another folder"):
        refits.check_earlier(old, old)
    with pytest.raises(PopSamplerError, match="another folder"):
        refits.check_earlier(models, new)
    (tmp_path / refits.WORKFLOW).mkdir()  # of a run that was killed
    with pytest.raises(PopSamplerError, match=f"ended.*{tmp_path}, without preprocess.json"):
        refits.check_earlier(tmp_path, new)
    for output, earlier in ((models, models), (loop / "new-models", new)):
        with pytest.raises(PopSamplerError, match="folder of an earlier run.*--output of"):
            refits.checkpoint(earlier, "retrieval.pt", output)
    with pytest.raises(PopSamplerError, match="with --refit-of"):
        refits.read_id_maps(old)
