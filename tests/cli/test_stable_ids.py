"""Tests reports on stable ids: by rank, without the items that are gone."""

import json
import re

import pytest

from merlin_popsampler.cli.column_report import read_column_report
from merlin_popsampler.cli.commands import main
from merlin_popsampler.cli.compare import drift
from merlin_popsampler.cli.inspect import summary
from tests.support.workflow_helpers import saved

pytestmark = pytest.mark.filterwarnings("ignore")
OLD = ["tea"] * 6 + ["milk"] * 3 + ["jam"] * 2
NEW = ["rye"] * 5 + ["milk"] * 4 + ["tea"]


@pytest.fixture
def sides(tmp_path):
    old = saved(OLD, tmp_path / "old")
    return old, saved(NEW, tmp_path / "new", base=old / "workflow")


@pytest.mark.parametrize("place", ["fit", "workflow", "data", "data/.merlin/schema.json"])
def test_an_inspection_counts_by_rank(place, sides, capsys):
    path = sides[1] / place
    found = summary(read_column_report(str(path)))
    assert (found["min_id"], found["max_id"], found["items"]) == (3, 6, 4)
    assert (found["frequency_ordered"], found["gone_items"]) == (False, 1)
    assert (found["interactions"], found["top_share"]) == (10, 0.5)
    assert "unseen_items" not in found
    assert main(["inspect", str(path)]) == 0
    printed = capsys.readouterr().out
    assert re.search("items that are gone +1\n", printed)
    assert f"no, by rank in {found['ranks_path']}" in printed


def test_an_inspection_refuses_a_file_that_was_changed(sides, capsys):
    for path in sides[1].rglob("ranks.*"):
        path.write_bytes(path.read_bytes()[::-1])
    assert main(["inspect", str(sides[1] / "data")]) == 2
    assert "file of its ids by rank" in capsys.readouterr().err


def test_an_inspection_of_ordered_ids_has_no_fields_of_stable_ids(sides, capsys):
    assert main(["inspect", str(sides[0] / "workflow"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["frequency_ordered"] is True and found["unseen_items"] == 0
    assert not {"gone_items", "ranks_digest", "ranks_path"} & set(found)


@pytest.mark.parametrize("place", ["fit", "workflow", "data"])
def test_nothing_has_moved(place, sides):
    """Tea, milk and jam had the shares 6, 3 and 2 of 11; now 1, 4 and 0 of 10, and rye 5."""
    found = drift(*(read_column_report(str(side / place)) for side in sides), 2)
    if place == "data":
        assert found == {"matched_by": "rank", "tv": pytest.approx(14 / 110)}
        return
    assert (found["moved_items"], found["moved_share"]) == (0.0, 0.0)
    assert (found["new_items"], found["vanished_items"], found["items_of_both"]) == (1, 1, 2)
    shares = [(6 / 11, 1 / 10), (3 / 11, 4 / 10), (2 / 11, 0), (0, 5 / 10)]
    assert found["tv"] == pytest.approx(sum(abs(a - b) for a, b in shares) / 2)
    assert found["rank_correlation"] == pytest.approx(-1.0)


def test_a_picture_is_drawn_by_rank(sides, tmp_path):
    pytest.importorskip("matplotlib")
    path = str(tmp_path / "out.png")
    assert main(["inspect", str(sides[1] / "fit"), "--plot", path, "--num-sampled", "2"]) == 0
