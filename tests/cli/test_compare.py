"""Tests the report of `compare` on two fits."""

import json
import shutil
import warnings

import numpy as np
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.cli.column_report import read_column_report
from merlin_popsampler.cli.commands import main
from merlin_popsampler.cli.compare import drift
from tests.support.oracles import integral_inclusion
from tests.support.workflow_helpers import saved

pytestmark = pytest.mark.filterwarnings("ignore")


def test_drift_by_keys(old, new):
    found = drift(
        read_column_report(str(old / "workflow")), read_column_report(str(new / "workflow")), 2
    )
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


def test_items_that_have_another_id(tmp_path):
    """Of 100 items, the first two swap ids, one of the last is gone, and one is new."""
    old = [f"i{n:03d}" for n in range(100) for _ in range(200 - n)]
    new = [{"i000": "i001", "i001": "i000", "i099": "new"}.get(key, key) for key in old]
    sides = saved(old, tmp_path / "a"), saved(new, tmp_path / "b")
    found = drift(*(read_column_report(str(side / "fit")) for side in sides))
    assert (found["new_items"], found["vanished_items"], found["items_of_both"]) == (1, 1, 99)
    assert found["moved_items"] == pytest.approx(2 / 99)
    assert found["moved_share"] == pytest.approx((200 + 199) / (len(new) - 101))
    bands = ("moved_top_1_percent", "moved_next_9_percent", "moved_other_90_percent")
    assert [found[band] for band in bands] == pytest.approx([1.0, 1 / 9, 0.0])


def test_nothing_in_common_has_not_moved(tmp_path):
    sides = saved(["a", "b"], tmp_path / "a"), saved(["c"], tmp_path / "b")
    found = drift(*(read_column_report(str(side / "fit")) for side in sides))
    assert (found["moved_items"], found["moved_share"]) == (None, None)


def test_items_whose_expected_count_is_off(tmp_path):
    """The share of one item falls from a half to almost 0."""
    rest = [f"i{n}" for n in range(20)] * 10
    old = saved(["star"] * 200 + rest, tmp_path / "a")
    new = saved(["star"] * 1 + rest, tmp_path / "b")
    found = drift(
        read_column_report(str(old / "workflow")), read_column_report(str(new / "workflow")), 3
    )
    assert found["off_by_2"] == 1
    worst = found["most_off"][0]
    assert worst["key"] == "star"
    probs = [np.array([first] + [10] * 20) / (200 + first) for first in (200, 1)]
    # seen once, the star comes last; the distribution over ranks is the same
    expected = [integral_inclusion(p)[2][0] for p in probs]
    assert [worst["old"], worst["new"]] == pytest.approx(expected, abs=1e-5)
    same = drift(
        read_column_report(str(old / "workflow")), read_column_report(str(old / "workflow")), 3
    )
    assert (same["off_by_2"], same["most_off"], same["tv"]) == (0, [], 0.0)
    assert same["rank_correlation"] == pytest.approx(1.0)


def test_the_default_batch_is_small_enough_for_expected_counts_to_differ(tmp_path):
    """If a batch holds every item, each expected count is 1, under any distribution."""
    rest = [f"i{n}" for n in range(39)] * 10
    old = saved(["star"] * 200 + rest, tmp_path / "a")
    new = saved(["star"] * 1 + rest, tmp_path / "b")
    found = drift(*(read_column_report(str(side / "workflow")) for side in (old, new)))
    assert (found["num_sampled"], found["off_by_2"]) == (4, 1)
    expected = [
        integral_inclusion(np.array([first] + [10] * 39) / (390 + first))[3][0]
        for first in (200, 1)
    ]
    worst = found["most_off"][0]
    assert [worst["old"], worst["new"]] == pytest.approx(expected, abs=1e-5)


def test_a_side_without_items_is_refused(old, tmp_path):
    empty = saved([None, None], tmp_path / "empty")
    for place in ("workflow", "data"):
        columns = [read_column_report(str(side / place)) for side in (old, empty)]
        for sides in (columns, columns[::-1]):
            with pytest.raises(PopSamplerError, match="at least one item"):
                drift(*sides)


def test_drift_between_schemas_alone(old, new):
    found = drift(read_column_report(str(old / "data")), read_column_report(str(new / "data")))
    assert found["matched_by"] == "rank"
    a, b = np.array([6, 3, 2]) / 11, np.array([8, 4, 3]) / 15
    assert found["tv"] == pytest.approx(np.abs(a - b).sum() / 2)


def compared(capsys, old, new):
    """Returns the report of the command on two data sets, and the notes that it prints."""
    arguments = str(old / "data"), str(new / "data"), "--json", "--num-sampled", "2"
    with warnings.catch_warnings():
        warnings.filterwarnings("default", "The keys of both sides")
        main(["compare", *arguments])
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


def test_data_sets_are_compared_by_the_keys_of_their_fits(old, new, capsys):
    """A comparison by rank does not detect new items in the ranks of old ones."""
    found, notes = compared(capsys, old, new)
    sides = [read_column_report(str(side / "workflow")) for side in (old, new)]
    assert found == {**drift(*sides, num_sampled=2), "drifted": True}
    assert (found["matched_by"], found["new_items"], notes) == ("key", 1, "")


@pytest.mark.parametrize("side", ["old", "new"])
def test_without_the_fit_of_a_side_curves_are_compared_and_a_note_says_so(old, new, side, capsys):
    shutil.rmtree({"old": old, "new": new}[side] / "fit")
    found, notes = compared(capsys, old, new)
    assert found["matched_by"] == "rank"
    assert "does not detect items that swap their ranks" in notes
    assert "out_paths of FrequencyCategorify, to match items by key. Ids of your own" in notes


def test_a_fit_that_cannot_be_read_counts_as_absent(old, new, capsys):
    for path in old.rglob("manifest.json"):
        path.write_text("{")
    found, notes = compared(capsys, old, new)
    assert (found["matched_by"], "rank by rank" in notes) == ("rank", True)


def test_folders_of_vocabularies_are_compared_like_workflows(old, new):
    def found(place):
        return drift(*(read_column_report(str(side / place)) for side in (old, new)), num_sampled=2)

    assert found("fit") == found("fit/categories") == found("workflow")
    assert found("fit")["matched_by"] == "key"


def test_keys_of_different_kinds_are_refused(old, tmp_path):
    numbers = saved([1, 1, 2], tmp_path / "numbers")
    paths = [str(old / "workflow"), str(numbers / "workflow")]
    with pytest.raises(PopSamplerError, match="one type"):
        drift(*map(read_column_report, paths))
