"""What a report says of a schema, its counts, and of two of them."""

import json
import os

import numpy as np
import nvtabular as nvt
import pandas as pd
import pytest
from nvtabular import ops
from oracles import integral_inclusion
from workflow_helpers import dataset, saved

from merlin_popsampler import PopSamplerError
from merlin_popsampler.__main__ import main
from merlin_popsampler.report import drift, summary
from merlin_popsampler.subject import read_subject

pytestmark = pytest.mark.filterwarnings("ignore")
OLD = ["tea"] * 6 + ["milk"] * 3 + ["jam"] * 2 + [None] * 4
NEW = ["milk"] * 8 + ["tea"] * 4 + ["rye"] * 3


@pytest.fixture
def old(tmp_path):
    return saved(OLD, tmp_path / "old")


@pytest.fixture
def new(tmp_path):
    return saved(NEW, tmp_path / "new")


def test_the_summary(old):
    found = summary(read_subject(str(old / "workflow")))
    assert (found["min_id"], found["max_id"], found["items"]) == (3, 5, 3)
    assert found["interactions"] == 11
    assert found["top_share"] == pytest.approx(6 / 11)
    assert found["reserved_share"] == {"null": pytest.approx(4 / 15)}
    json.dumps(found)


def test_the_schema_alone_knows_the_curve(old):
    """The files of the fit are gone; interactions and shares come from the steps."""
    found = summary(read_subject(str(old / "data")))
    assert "reserved_share" not in found
    assert found["top_share"] == pytest.approx(6 / 11)


def test_drift_by_keys(old, new):
    found = drift(read_subject(str(old / "workflow")), read_subject(str(new / "workflow")), 2)
    shares = {
        "tea": (6 / 11, 4 / 15),
        "milk": (3 / 11, 8 / 15),
        "jam": (2 / 11, 0),
        "rye": (0, 0.2),
    }
    assert found["tv"] == pytest.approx(sum(abs(a - b) for a, b in shares.values()) / 2)
    assert (found["new_items"], found["vanished_items"], found["items_of_both"]) == (1, 1, 2)
    assert found["unknown_share"] == pytest.approx(3 / 15)
    assert found["rank_correlation"] == pytest.approx(-1.0)


def test_items_whose_price_is_off(tmp_path):
    """One item falls from half of everything to next to nothing."""
    rest = [f"i{n}" for n in range(20)] * 10
    old = saved(["star"] * 200 + rest, tmp_path / "a")
    new = saved(["star"] * 1 + rest, tmp_path / "b")
    found = drift(read_subject(str(old / "workflow")), read_subject(str(new / "workflow")), 3)
    assert found["off_by_2"] == 1
    worst = found["most_off"][0]
    assert worst["key"] == "star"
    probs = [np.array([first] + [10] * 20) / (200 + first) for first in (200, 1)]
    # seen once, the star is last in order: the law is the same, whatever the order
    expected = [integral_inclusion(p)[2][0] for p in probs]
    assert [worst["old"], worst["new"]] == pytest.approx(expected, abs=1e-5)
    same = drift(read_subject(str(old / "workflow")), read_subject(str(old / "workflow")), 3)
    assert (same["off_by_2"], same["most_off"], same["tv"]) == (0, [], 0.0)
    assert same["rank_correlation"] == pytest.approx(1.0)


def test_drift_between_schemas_alone(old, new):
    found = drift(read_subject(str(old / "data")), read_subject(str(new / "data")))
    assert found["matched_by"] == "rank"
    a, b = np.array([6, 3, 2]) / 11, np.array([8, 4, 3]) / 15
    assert found["tv"] == pytest.approx(np.abs(a - b).sum() / 2)


# ------------------------------------------------------------------ command line


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


def test_keys_of_different_kinds_are_refused(old, tmp_path):
    numbers = saved([1, 1, 2], tmp_path / "numbers")
    paths = [str(old / "workflow"), str(numbers / "workflow")]
    with pytest.raises(PopSamplerError, match="one kind"):
        drift(*map(read_subject, paths))
    assert main(["compare", *paths]) == 2


def test_folders_of_vocabularies_are_compared_like_workflows(old, new):
    def found(place):
        return drift(*(read_subject(str(side / place)) for side in (old, new)), num_sampled=2)

    assert found("fit") == found("fit/categories") == found("workflow")
    assert found("fit")["matched_by"] == "key"


def test_what_cannot_be_read_is_an_error(tmp_path, capsys):
    assert main(["inspect", str(tmp_path)]) == 2
    assert "none of these" in capsys.readouterr().err


def test_pictures(old, tmp_path):
    pytest.importorskip("matplotlib")
    path = str(tmp_path / "out.png")
    assert main(["inspect", str(old / "workflow"), "--plot", path, "--num-sampled", "2"]) == 0
    with open(path, "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    assert os.path.getsize(path) > 10_000


@pytest.mark.parametrize("name", ["out.nope", "missing/out.png"])
def test_pictures_that_cannot_be_written(old, tmp_path, name, capsys):
    pytest.importorskip("matplotlib")
    assert main(["inspect", str(old / "workflow"), "--plot", str(tmp_path / name)]) == 2
    assert "Expected a picture's path" in capsys.readouterr().err


def test_no_picture_of_nothing(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    empty = saved([None, None], tmp_path / "empty")
    assert main(["inspect", str(empty / "workflow")]) == 0
    assert main(["inspect", str(empty / "workflow"), "--plot", str(tmp_path / "out.png")]) == 2
    assert "at least one item" in capsys.readouterr().err


def test_what_goes_wrong_is_not_taken_for_drift(monkeypatch, old, capsys):
    monkeypatch.setattr("merlin_popsampler.report.summary", lambda _: 1 / 0)
    assert main(["inspect", str(old / "workflow")]) == 2
    assert "ZeroDivisionError" in capsys.readouterr().err
