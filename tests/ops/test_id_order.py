"""Tests violations of the frequency order, and the map that restores it."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from merlin_popsampler.errors import FrequencyOrderError
from merlin_popsampler.ops.counting import Counts
from merlin_popsampler.ops.id_order import (
    LARGEST_ID,
    _uncounted,
    measure,
    passed_counts,
    violation_of,
)
from merlin_popsampler.ops.keys.columns import ColumnSummary
from merlin_popsampler.store.artifact import FitFolder


def counted(ids, sizes, nulls=0):
    rows = ColumnSummary(nulls, is_list=False, floating=False, large=False, dtypes=frozenset())
    return Counts([pa.array(ids)], np.array(sizes), (None,), {"item_id": rows})


@pytest.mark.parametrize("counts", [[], [4], [4, 4, 1], [9, 1, 0, 1]])
def test_falling_counts_are_not_a_violation(counts):
    assert violation_of(np.array(counts, np.int64), 3) == ""


def test_the_first_rise_is_named():
    found = violation_of(np.array([5, 2, 3, 1, 2]), 3)
    assert found == "id 4 seen 2 times, id 5 seen 3 times, and 1 more rises"


def test_a_map_of_the_ids_that_were_seen(out_path):
    folder = FitFolder(out_path, "x")
    _, order = measure(counted([0, 3, 5, 4], [7, 1, 2, 2]), "item_id", 3, True, 256, folder)
    new_ids = pd.read_parquet(f"{out_path}/x/map.item_id.parquet")
    assert new_ids.to_dict("list") == {"id": [3, 4, 5], "new_id": [5, 3, 4]}
    counts = pd.read_parquet(f"{out_path}/x/popularity.item_id.parquet")["count"]
    assert counts.tolist() == [7, 0, 0, 2, 2, 1]
    assert (order.metadata.min_id, order.metadata.max_id, order.gaps) == (3, 5, "")
    assert order.remaps
    order.check_files()


def test_gaps_are_counted(out_path):
    folder = FitFolder(out_path, "x")
    _, order = measure(counted([2, 3, 5], [3, 1, 1]), "item_id", 0, False, 256, folder)
    assert (order.metadata.min_id, order.metadata.max_id) == (2, 5)
    assert order.gaps == "1 of the ids from 2 to 5 (the first is 4, the last 4)"
    assert (order.violation, order.remaps) == ("", False)


@pytest.mark.parametrize("remap", [False, True])
@pytest.mark.parametrize("sizes", [[7, 1, 2, 2], [7, 4, 2, 2], [7, 1, 1, 9]])
def test_counts_as_the_ids_came_in(sizes, remap, out_path):
    folder = FitFolder(out_path, "x")
    _, order = measure(counted([0, 4, 6, 9], sizes), "item_id", 3, remap, 256, folder)
    assert order.remaps == remap
    rows = dict(zip([0, 4, 6, 9], sizes))
    assert passed_counts(order).tolist() == [rows.get(i, 0) for i in range(10)]


@pytest.mark.parametrize(
    ("ids", "nulls", "message"),
    [
        ([1, 2], 3, "3 nulls"),
        ([0.5, 2.0], 0, "float64 values, such as 0.5"),
        ([-1, 2], 0, "values from -1 to 2"),
        ([1, LARGEST_ID + 1], 0, f"to {LARGEST_ID + 1}"),
    ],
)
def test_values_that_are_not_ids_are_refused(ids, nulls, message, out_path):
    folder = FitFolder(out_path, "x")
    with pytest.raises(FrequencyOrderError, match=message):
        measure(counted(ids, [1, 1], nulls), "item_id", 0, False, 256, folder)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([10, 3, 0, 0], "2 of the ids from 3 to 6 (the first is 5, the last 6)"),
        ([4, 0, 1], "1 of the ids from 3 to 5 (the first is 4, the last 4)"),
        ([1, 1], ""),
        ([], ""),
    ],
)
def test_uncounted_ids_are_named(counts, words):
    assert _uncounted(np.array(counts, int), 3) == words
