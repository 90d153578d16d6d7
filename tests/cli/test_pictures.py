"""Tests the curves that `inspect --plot` draws against independently computed numbers."""

import dataclasses
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from nvtabular import ops

pytest.importorskip("matplotlib")

from merlin_popsampler.cli.column_report import read_column_report
from merlin_popsampler.cli.commands import main
from merlin_popsampler.cli.pictures import drawn
from merlin_popsampler.cli.terminal import printable
from tests.support.oracles import enumerate_inclusion, log_uniform_probs
from tests.support.workflow_helpers import dataset, fitted, saved

pytestmark = pytest.mark.filterwarnings("ignore")

COUNTS = np.array([40, 25, 9, 8, 3, 1])
SHARES = COUNTS / COUNTS.sum()
STEPS = np.array([40, 25, 17 / 2, 17 / 2, 3, 1]) / COUNTS.sum()
"""The counts in five steps: the two counts closest in ratio are replaced by their mean."""
NUM_SAMPLED = 2


@pytest.fixture
def shop(tmp_path):
    """Returns a data set with a curve of five steps, and the counts of its fit."""
    keys = np.repeat([f"item {i}" for i in range(len(COUNTS))], COUNTS)
    folder = saved(keys, tmp_path / "shop", steps=5)
    counts = next((folder / "fit").rglob("popularity.item_id.parquet"))
    return str(folder / "data"), None, str(counts)


def curves(axis):
    """Returns the curve `(x, y)` of each entry of the legend."""
    handles, labels = axis.get_legend_handles_labels()
    assert [text.get_text() for text in axis.get_legend().get_texts()] == labels
    assert len(handles) == len(axis.get_lines()) == len(set(labels))
    return {
        label: (np.asarray(handle.get_xdata()), np.asarray(handle.get_ydata()))
        for handle, label in zip(handles, labels)
    }


def check(axis, expected, rtol=1e-6):
    """Checks that the axis has exactly these curves, over ranks 1 to n, with log scales."""
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    found = curves(axis)
    assert set(found) == set(expected)
    for name, wanted in expected.items():
        x, y = found[name]
        np.testing.assert_array_equal(x, np.arange(1, len(wanted) + 1), err_msg=name)
        np.testing.assert_allclose(y, wanted, rtol=rtol, err_msg=name)


DISTRIBUTIONS = {"data": SHARES, "log-uniform": log_uniform_probs(len(COUNTS)), "5 steps": STEPS}
EXPECTED = {name: enumerate_inclusion(probs, NUM_SAMPLED) for name, probs in DISTRIBUTIONS.items()}


def test_the_curves_are_those_that_the_legend_names(shop):
    left, right = drawn(read_column_report(*shop), NUM_SAMPLED).axes
    check(left, DISTRIBUTIONS)
    check(right, EXPECTED)
    assert left.get_ylabel() == "share of the interactions"
    assert right.get_ylabel() == "expected count"
    assert left.get_xlabel() == right.get_xlabel() == "rank (1 = most frequent)"
    assert left.get_title() == "item_id: 6 items"
    assert right.get_title() == "a batch of 2 distinct draws"


def test_swapped_curves_are_seen(shop):
    """Negative control: the curves of the other axis, and two swapped curves."""
    left, right = drawn(read_column_report(*shop), NUM_SAMPLED).axes
    for axis, wrong in ((left, EXPECTED), (right, DISTRIBUTIONS)):
        with pytest.raises(AssertionError):
            check(axis, wrong)
    for expected, axis in ((DISTRIBUTIONS, left), (EXPECTED, right)):
        for one, other in (("data", "log-uniform"), ("data", "5 steps")):
            swapped = {**expected, one: expected[other], other: expected[one]}
            with pytest.raises(AssertionError):
                check(axis, swapped)


def test_a_batch_of_all_items_is_drawn_only_if_asked_for(shop):
    """All expected counts are then 1, so the picture would show nothing."""
    _, right = drawn(read_column_report(*shop), 6).axes
    check(right, dict.fromkeys(DISTRIBUTIONS, np.ones(len(COUNTS))))
    _, right = drawn(read_column_report(*shop)).axes
    check(right, DISTRIBUTIONS)  # one draw
    assert right.get_title() == "a batch of 1 distinct draws"


def test_an_assumed_order_is_drawn_as_a_distribution_alone(tmp_path):
    """Stock Categorify writes a range of ids without their counts."""
    encoder = ops.Categorify(out_path=str(tmp_path / "fit"))
    data = dataset(pd.DataFrame({"item_id": list("aaabbc")}), 1)
    workflow = fitted(["item_id"] >> encoder >> ops.TagAsItemID(), data)
    workflow.transform(data).to_parquet(str(tmp_path / "data"))
    left, right = drawn(read_column_report(str(tmp_path / "data")), 2).axes
    distribution = log_uniform_probs(3)
    check(left, {"log-uniform": distribution})
    check(right, {"log-uniform": enumerate_inclusion(distribution, 2)})
    assert left.get_ylabel() == "share of the draws, by an assumed order"
    assert left.get_title() == "item_id: 3 items"


def test_a_large_catalog_is_drawn_at_ranks_that_lie_evenly_on_the_axis(tmp_path):
    counts = 3000 // np.arange(1, 3001)
    folder = saved(np.repeat(np.arange(3000), counts), tmp_path / "large") / "workflow"
    left, _ = drawn(read_column_report(str(folder)), 20).axes
    ranks, shares = curves(left)["data"]
    np.testing.assert_allclose(shares, counts[ranks - 1] / counts.sum())
    assert (ranks[0], ranks[-1], len(ranks) <= 400) == (1, 3000, True)
    far = ranks[ranks > 200]
    assert np.ptp(np.diff(np.log(far))) < 0.01


def test_what_is_drawn_is_what_is_written(shop, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    written, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda figure, *args, **settings: (written.append(figure), save(figure, *args, **settings)),
    )
    path = tmp_path / "out.png"
    data, _, counts = shop
    arguments = ["inspect", data, "--plot", str(path), "--counts", counts]
    arguments += ["--num-sampled", str(NUM_SAMPLED)]
    assert main(arguments) == 0
    (figure,) = written
    check(figure.axes[0], DISTRIBUTIONS)
    check(figure.axes[1], EXPECTED)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert main([*arguments[:3], str(tmp_path / "out.svg")]) == 0
    assert "<svg" in (tmp_path / "out.svg").read_text()


@pytest.mark.parametrize("name", ["out.nope", "out", "file/out.png", "nope://bucket/out.png"])
def test_pictures_that_cannot_be_written(old, tmp_path, name, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no folder")
    before = sorted(tmp_path.rglob("*"))
    assert main(["inspect", str(old / "workflow"), "--plot", name]) == 2
    assert "Expected a picture's path" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_pictures_are_written_to_any_file_system(old, tmp_path, monkeypatch):
    """Regression: `memory://bucket` was taken for a local folder `memory:`, if that existed."""
    import fsspec

    monkeypatch.chdir(tmp_path)
    (tmp_path / "memory:" / "bucket").mkdir(parents=True)
    assert main(["inspect", str(old / "workflow"), "--plot", "memory://bucket/out.png"]) == 0
    with fsspec.open("memory://bucket/out.png") as file:
        assert file.read().startswith(b"\x89PNG\r\n\x1a\n")
    assert list((tmp_path / "memory:" / "bucket").iterdir()) == []
    assert main(["inspect", str(old / "workflow"), "--plot", str(tmp_path / "new" / "o.png")]) == 0


@pytest.mark.parametrize(
    "name", ["us$_price_$^", "$x$", "a\\$b$", "{\\alpha", "wipe\x1b[2J", "日本"]
)
def test_names_are_drawn_as_text(tmp_path, name):
    """Regression: matplotlib read the dollars of a column's name as a formula, and failed.

    Cases: every text from data that matplotlib gets; control characters, which no SVG file may
    hold.
    """
    from merlin_popsampler.cli.pictures import plot

    column = read_column_report(str(saved(["tea", "tea", "jam"], tmp_path / "a") / "workflow"))
    column = dataclasses.replace(column, name=name)
    for ending in ("png", "svg"):
        plot(column, str(tmp_path / f"out.{ending}"))
    left, _ = drawn(column).axes
    assert not left.title.get_parse_math()
    assert left.get_title() == f"{printable(name)}: 2 items"
    ElementTree.parse(str(tmp_path / "out.svg"))


def test_a_long_name_leaves_room_for_the_other_picture(shop):
    column = dataclasses.replace(read_column_report(*shop), name="0123456789" * 9)
    left, right = drawn(column, NUM_SAMPLED).axes
    assert left.get_title() == "0123456789" * 3 + "0123456...: 6 items"
    assert left.title.get_window_extent().x1 < right.title.get_window_extent().x0
    column = dataclasses.replace(column, name="w" * 40)
    assert drawn(column, NUM_SAMPLED).axes[0].get_title() == "w" * 40 + ": 6 items"


def test_no_picture_of_nothing(tmp_path, capsys):
    empty = saved([None, None], tmp_path / "empty")
    assert main(["inspect", str(empty / "workflow")]) == 0
    assert main(["inspect", str(empty / "workflow"), "--plot", str(tmp_path / "out.png")]) == 2
    assert "at least one item" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()
