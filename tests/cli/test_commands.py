"""Tests what the commands print, and their exit codes."""

import json
import re
import warnings

import nvtabular as nvt
import pandas as pd
import pytest
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder
from merlin_popsampler.cli.commands import main
from tests.support.workflow_helpers import dataset, fitted, saved

pytestmark = pytest.mark.filterwarnings("ignore")


def printed_with_notes(capsys, *arguments):
    """Runs a command that succeeds, with Python's default warnings, and returns its output."""
    with warnings.catch_warnings():
        warnings.resetwarnings()
        assert main(arguments) == 0
    return capsys.readouterr()


def test_inspect_prints_a_table(old, capsys):
    assert main(["inspect", str(old / "workflow")]) == 0
    printed = capsys.readouterr().out
    lines = dict(line.split("  ", 1) for line in printed.splitlines())
    assert {name: value.strip() for name, value in lines.items()} == {
        "column": "item_id",
        "item ids": "3 to 5 (3 items)",
        "in frequency order": "yes",
        "evidence": "vocabulary",
        "steps of the curve": "3",
        "interactions": "11",
        "top 1 % of the items": "54.5% of the interactions",
        # by hand: shares 6/11, 3/11, 2/11 against log2(2), log2(3/2), log2(4/3), each over log2(4)
        "log-uniform fit": "total variation 0.0455, KL 0.0044 nats",
        "steps fit": "total variation 0.0000, KL 0.0000 nats",
        "share of null": "26.67%",
        "ids never counted": "0",
    }


def test_an_unchecked_order_is_called_assumed(tmp_path, capsys):
    frame = pd.DataFrame({"item_id": list("aaabbc")})
    node = ["item_id"] >> ops.Categorify(out_path=str(tmp_path / "fit")) >> ops.TagAsItemID()
    fitted(node, dataset(frame, 1)).transform(dataset(frame, 1)).to_parquet(str(tmp_path / "data"))
    printed = printed_with_notes(capsys, "inspect", str(tmp_path / "data"))
    assert "in frequency order  assumed" in printed.out
    assert "interactions" not in printed.out
    assert printed.err.startswith("note: Column 'item_id' has Categorify's properties but no proof")
    assert main(["compare", *[str(tmp_path / "data")] * 2]) == 2
    assert "expected a popularity that was measured" in capsys.readouterr().err


def test_ids_without_a_count_are_reported_with_their_share_of_the_draws(tmp_path, capsys):
    """Ids 2 and 4 are missing: each counts once, next to 4 + 1 + 1 occurrences."""
    frame = pd.DataFrame({"item_id": [1, 1, 1, 1, 3, 5]})
    order = FrequencyOrder(out_path=str(tmp_path))
    fitted(["item_id"] >> order >> ops.TagAsItemID(), dataset(frame, 1)).save(str(tmp_path / "w"))
    assert main(["inspect", str(tmp_path / "w")]) == 0
    assert "ids never counted     2 (25.00% of the draws)" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "w"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["unseen_items"], found["unseen_share"]) == (2, pytest.approx(2 / 8))


def test_the_draws_of_a_batch_are_named_and_limited(old, new, capsys):
    paths = [str(old / "workflow"), str(new / "workflow")]
    assert main(["compare", *paths]) == 1
    assert re.search("^num sampled +1$", capsys.readouterr().out, re.MULTILINE)
    for arguments in (["compare", *paths], ["inspect", paths[0], "--plot", "out.png"]):
        assert main([*arguments, "--num-sampled", "4"]) == 2
        assert "--num-sampled to be a whole number >= 1 and <= 3" in capsys.readouterr().err


def test_help_says_what_the_draws_are_for(capsys):
    """`inspect` without `--plot` draws nothing."""
    for command, use in (("inspect", "expected counts --plot shows"), ("compare", "are compared")):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        printed = " ".join(capsys.readouterr().out.split())
        assert f"{use} [a tenth of the items" in printed
        assert "name of the column, where there are several" in printed


def test_inspect_prints_json(old, capsys):
    assert main(["inspect", str(old / "data"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == 3


def test_inspect_takes_counts_from_another_place(old, new, capsys):
    arguments = ["inspect", str(old / "data"), "--json"]
    assert main(arguments) == 0
    assert "reserved_share" not in json.loads(capsys.readouterr().out)
    counts = "fit/categories/popularity.item_id.parquet"
    assert main([*arguments, "--counts", str(old / counts)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["reserved_share"] == {"null": pytest.approx(4 / 15)}
    assert main([*arguments, "--counts", str(new / counts)]) == 2
    assert "expected the counts that its schema was made from" in capsys.readouterr().err


def test_both_commands_take_a_column(tmp_path, capsys):
    frame = pd.DataFrame({"a": ["x", "x", "y"], "b": ["u", "v", "w"]})
    node = ["a", "b"] >> FrequencyCategorify(out_path=str(tmp_path)) >> ops.TagAsItemID()
    path = str(tmp_path / "workflow")
    fitted(node, dataset(frame, 1)).save(path)
    for command in (["inspect", path], ["compare", path, path]):
        assert main(command) == 2
        assert "Received: ['a', 'b']" in capsys.readouterr().err
        for column, items in (("a", 2), ("b", 3)):
            assert main([*command, "--column", column, "--json"]) == 0
            found = json.loads(capsys.readouterr().out)
            assert found.get("items", found.get("items_of_both")) == items


def test_the_tag_of_a_column_is_found_by_loading_nvtabular(tmp_path, capsys):
    frame = pd.DataFrame({"a": ["x", "x", "y"], "b": ["u", "v", "w"]})
    columns = ["a", "b"] >> FrequencyCategorify(out_path=str(tmp_path))
    path = str(tmp_path / "workflow")
    fitted((columns["a"] >> ops.TagAsItemID()) + columns["b"], dataset(frame, 1)).save(path)
    printed = printed_with_notes(capsys, "inspect", path)
    assert "3 to 4 (2 items)" in printed.out
    assert "note: Loading NVTabular" in printed.err
    assert "Pass one of ['a', 'b'] as column" in printed.err
    assert printed_with_notes(capsys, "inspect", path, "--column", "a").err == ""


def test_inspect_says_by_its_exit_code_that_ids_are_out_of_order(tmp_path, capsys):
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
    assert re.search("^drifted +True$", printed, re.MULTILINE)
    assert main(["compare", *paths, "--max-tv", "0.9"]) == 0
    assert main(["compare", paths[0], paths[0], "--json"]) == 0


def test_keys_that_cannot_be_compared_end_with_2(old, tmp_path, capsys):
    numbers = saved([1, 1, 2], tmp_path / "numbers")
    assert main(["compare", str(old / "workflow"), str(numbers / "workflow")]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: Expected keys of one type on both sides.")
    assert printed.out == ""


def test_what_cannot_be_read_is_an_error(tmp_path, capsys):
    assert main(["inspect", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "none of these" in message and "merlin_popsampler.check_order(counts)" in message


def test_what_goes_wrong_is_not_taken_for_drift(monkeypatch, old, capsys):
    monkeypatch.setattr("merlin_popsampler.cli.inspect.summary", lambda _: 1 / 0)
    assert main(["inspect", str(old / "workflow")]) == 2
    assert "ZeroDivisionError" in capsys.readouterr().err
