"""The command line: what it prints, and its exit codes."""

import json

import nvtabular as nvt
import pandas as pd
import pytest
from nvtabular import ops

from merlin_popsampler.cli.commands import main
from tests.support.workflow_helpers import dataset, saved

pytestmark = pytest.mark.filterwarnings("ignore")


def test_inspect_prints_a_table(old, capsys):
    assert main(["inspect", str(old / "workflow")]) == 0
    printed = capsys.readouterr().out
    assert "3 to 5 (3 items)" in printed
    assert "26.67%" in printed
    assert "total variation" in printed


def test_inspect_prints_json(old, capsys):
    assert main(["inspect", str(old / "data"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == 3


def test_inspect_says_by_its_exit_code_that_ids_are_out_of_order(tmp_path, capsys):
    from merlin_popsampler import FrequencyOrder

    order = FrequencyOrder(on_violation="warn", out_path=str(tmp_path))
    workflow = nvt.Workflow(["item_id"] >> order >> ops.TagAsItemID())
    workflow.fit(dataset(pd.DataFrame({"item_id": [0, 1, 1]}), 1))
    workflow.save(str(tmp_path / "workflow"))
    assert main(["inspect", str(tmp_path / "workflow")]) == 1
    assert "NO" in capsys.readouterr().out


def test_compare_says_by_its_exit_code_that_popularity_moved(old, new, capsys):
    paths = [str(old / "workflow"), str(new / "workflow")]
    assert main(["compare", *paths]) == 1
    printed = capsys.readouterr().out
    assert "drifted           True" in printed
    assert main(["compare", *paths, "--max-tv", "0.9"]) == 0
    assert main(["compare", paths[0], paths[0], "--json"]) == 0


def test_keys_that_cannot_be_compared_end_with_2(old, tmp_path):
    numbers = saved([1, 1, 2], tmp_path / "numbers")
    assert main(["compare", str(old / "workflow"), str(numbers / "workflow")]) == 2


def test_what_cannot_be_read_is_an_error(tmp_path, capsys):
    assert main(["inspect", str(tmp_path)]) == 2
    assert "none of these" in capsys.readouterr().err


def test_what_goes_wrong_is_not_taken_for_drift(monkeypatch, old, capsys):
    monkeypatch.setattr("merlin_popsampler.cli.inspect.summary", lambda _: 1 / 0)
    assert main(["inspect", str(old / "workflow")]) == 2
    assert "ZeroDivisionError" in capsys.readouterr().err
