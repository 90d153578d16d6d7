"""Tests reports on FrequencyOrder after an encoder and a filter.

They use the operators, `Workflow.save` and the command line alone, so they do not depend on the
layout of a fit's folder.
"""

import json
import math

import numpy as np
import pandas as pd
import pytest
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder
from merlin_popsampler.cli.commands import main
from tests.support.workflow_helpers import dataset, fitted

pytestmark = pytest.mark.filterwarnings("ignore")

# Occurrences of each key, and those where `keep` is true. The filter swaps the order of "tea" and
# "milk", and removes all rows of "jam" (in the middle) and "rye" (at the end).
OLD = {
    "tea": (60, 5),
    "milk": (40, 39),
    "jam": (20, 0),
    "oat": (9, 9),
    "fig": (8, 2),
    "rye": (3, 0),
}
NEW = {
    "milk": (50, 4),
    "tea": (30, 29),
    "fig": (21, 20),
    "oat": (9, 7),
    "egg": (5, 1),
    "rye": (2, 0),
}
CUTS = {
    "the tail": lambda frame: frame["item_id"] < 7,
    "the head": lambda frame: frame["item_id"] > 3,
}


def frame_of(seen):
    rows = [(key, i < kept) for key, (n, kept) in seen.items() for i in range(n)]
    shuffled = np.random.default_rng(17).permutation(len(rows))
    return pd.DataFrame([rows[i] for i in shuffled], columns=["item_id", "keep"])


def saved_workflow(folder, seen, on_violation, keep=lambda frame: frame["keep"], one_place=True):
    """Saves FrequencyCategorify >> Filter >> FrequencyOrder, with one out_path or two."""
    encoded = ["item_id"] >> FrequencyCategorify(out_path=str(folder / "fit"))
    kept = encoded + ["keep"] >> ops.Filter(f=keep)
    out_path = folder / ("fit" if one_place else "order")
    order = FrequencyOrder(on_violation=on_violation, out_path=str(out_path))
    node = (kept["item_id"] >> order >> ops.TagAsItemID()) + kept["keep"]
    fitted(node, dataset(frame_of(seen), 1)).save(str(folder / "workflow"))
    return str(folder / "workflow")


def kept_counts(seen):
    """Returns keys with their counts after the filter, most frequent first."""
    return dict(sorted(((k, n) for k, (_, n) in seen.items() if n), key=lambda item: -item[1]))


def reported(capsys, *arguments):
    code = main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out), code


@pytest.mark.parametrize("one_place", [True, False])
def test_a_remapped_fit_has_not_moved_from_one_of_the_same_data(tmp_path, capsys, one_place):
    """Both fits are of the same data; the file of keys is in the order of the encoder."""
    paths = [
        saved_workflow(tmp_path / name, OLD, "remap", one_place=one_place) for name in ("a", "b")
    ]
    found, code = reported(capsys, "compare", *paths)
    assert (found["matched_by"], found["tv"], found["drifted"], code) == ("key", 0, False, 0)
    assert (found["items_of_both"], found["new_items"], found["vanished_items"]) == (4, 0, 0)
    assert found["rank_correlation"] == pytest.approx(1)


def test_keys_are_matched_through_the_map(tmp_path, capsys):
    """Old and new counts of each key, computed in plain Python."""
    paths = [
        saved_workflow(tmp_path / name, seen, "remap") for name, seen in (("a", OLD), ("b", NEW))
    ]
    found, code = reported(capsys, "compare", *paths, "--num-sampled", "1")
    old, new = kept_counts(OLD), kept_counts(NEW)
    totals = sum(old.values()), sum(new.values())
    every, both = {*old, *new}, [key for key in old if key in new]
    shares = {key: (old.get(key, 0) / totals[0], new.get(key, 0) / totals[1]) for key in every}
    assert found["matched_by"] == "key"
    assert found["tv"] == pytest.approx(sum(abs(a - b) for a, b in shares.values()) / 2)
    assert (found["items_of_both"], found["new_items"]) == (len(both), len(new) - len(both))
    assert found["unknown_share"] == pytest.approx(new["egg"] / totals[1])
    # with one draw, expected counts are the shares themselves
    off = sorted(both, key=lambda key: -abs(math.log(shares[key][0] / shares[key][1])))
    off = [key for key in off if abs(math.log(shares[key][0] / shares[key][1])) > math.log(2)]
    assert found["off_by_2"] == len(off) > 1
    for item, key in zip(found["most_off"], off):
        assert (item["key"], item["old"], item["new"]) == (
            key,
            *map(pytest.approx, np.round(shares[key], 6)),
        )
    assert code == 1


@pytest.mark.parametrize("cut", list(CUTS))
def test_a_filter_that_drops_an_end_of_the_range(tmp_path, capsys, cut):
    """In OLD, the encoder's ids are 3 tea, 4 milk, 5 jam, 6 oat, 7 fig, 8 rye."""
    paths = [saved_workflow(tmp_path / name, OLD, "raise", CUTS[cut]) for name in ("a", "b")]
    found, code = reported(capsys, "compare", *paths)
    assert (found["matched_by"], found["tv"], code) == ("key", 0, 0)
    found, code = reported(capsys, "inspect", paths[0])
    counts = [60, 40, 20, 9] if cut == "the tail" else [40, 20, 9, 8, 3]
    assert (found["items"], found["interactions"], code) == (len(counts), sum(counts), 0)
    whole = saved_workflow(tmp_path / "whole", OLD, "raise", lambda frame: frame["item_id"] > 0)
    found, _ = reported(capsys, "compare", whole, paths[0])
    assert found["matched_by"] == "key"
    assert (found["items_of_both"], found["vanished_items"]) == (len(counts), 6 - len(counts))
    assert found["tv"] == pytest.approx(1 - sum(counts) / 140)


@pytest.mark.parametrize("on_violation", ["remap", "warn"])
@pytest.mark.parametrize("one_place", [True, False])
def test_inspect_of_a_saved_fit_after_a_filter(tmp_path, capsys, on_violation, one_place):
    """Contract and counts are those of FrequencyOrder, not the encoder's in the same folder."""
    path = saved_workflow(tmp_path, OLD, on_violation, one_place=one_place)
    found, code = reported(capsys, "inspect", path)
    ordered = on_violation == "remap"
    assert code == (0 if ordered else 1)
    assert (found["evidence"], found["frequency_ordered"]) == ("counted", ordered)
    assert (found["min_id"], found["max_id"]) == ((3, 6) if ordered else (3, 7))
    assert found["unseen_items"] == (0 if ordered else 1)  # jam
    if ordered:
        assert found["interactions"] == sum(kept_counts(OLD).values())


def test_a_fit_in_another_file_system(capsys):
    place = "memory://reports/fit"
    encoder = FrequencyCategorify(out_path=place)
    workflow = fitted(["item_id"] >> encoder >> ops.TagAsItemID(), dataset(frame_of(OLD), 1))
    workflow.save("memory://reports/workflow")
    for path in (place, f"{place}/", "memory://reports/workflow"):
        found, code = reported(capsys, "inspect", path)
        assert (found["items"], found["interactions"], code) == (6, 140, 0)
    found, code = reported(capsys, "compare", place, "memory://reports/workflow")
    assert (found["matched_by"], found["tv"], code) == ("key", 0, 0)


def test_a_file_system_that_is_empty_there(capsys):
    assert main(["inspect", "memory://reports/nothing"]) == 2
    assert "none of these" in capsys.readouterr().err


def test_what_follows_the_encoder_reads_the_same_from_the_operators_own_folder(tmp_path, capsys):
    path = saved_workflow(tmp_path, OLD, "remap", one_place=False)
    saved, code = reported(capsys, "inspect", path)
    assert code == 0
    for place in ("order", "order/frequency_order"):
        found, code = reported(capsys, "inspect", str(tmp_path / place))
        assert (found, code) == (saved, 0)
