"""Partitions that a filter leaves without rows: Merlin hands the raw column on."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from merlin.io import Dataset
from nvtabular import ops

from merlin_popsampler import (
    FrequencyCategorify,
    FrequencyOrder,
    FrequencyOrderError,
    PopSamplerError,
)
from tests.support.workflow_helpers import dataset, fitted

EMPTIED = slice(20, 40)
"""Rows of the second of three partitions, all of which the filter removes."""


def frame_of(keys):
    keep = np.ones(60, bool)
    keep[EMPTIED] = False
    return pd.DataFrame({"item_id": keys, "keep": keep})


def kept(node):
    return (node + ["keep"] >> ops.Filter(lambda df: df[df["keep"]]))["item_id"]


def encoded(tmp_path, **options):
    return ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "ids"), **options)


NUMBERS = np.arange(60) % 7


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        pytest.param([f"k{key}" for key in NUMBERS], "number and word", id="words"),
        pytest.param(NUMBERS.astype("int32"), "int32 and int64", id="dtype"),
        pytest.param(NUMBERS * 0.5, "float64 and int64", id="fractions"),
        pytest.param(NUMBERS + 90, "id 96, where the encoder's last is 9", id="range"),
        pytest.param(NUMBERS, "id 0 3 times, of at most 0", id="reserved"),
        pytest.param(-NUMBERS, "values from -6 to 9", id="negative"),
    ],
)
@pytest.mark.parametrize("on_violation", ["warn", "remap"])
def test_raw_columns_are_refused(keys, shown, on_violation, tmp_path):
    order = FrequencyOrder(on_violation=on_violation, out_path=str(tmp_path / "order"))
    with pytest.raises(PopSamplerError, match=f"{shown}.*filter the data before"):
        fitted(kept(encoded(tmp_path)) >> order, dataset(frame_of(keys), 3))
    assert order.fits == {}


def test_raw_ids_within_the_range_cannot_be_told(tmp_path):
    """What Merlin does: removed rows are back, and their keys are taken for ids."""
    keys = np.array([5] * 20 + [3] * 20 + [5] * 15 + [7] * 5)
    frame = frame_of(keys)
    frame.loc[15:54, "keep"] = False
    node = kept(encoded(tmp_path)) >> FrequencyOrder("count", "warn", out_path=str(tmp_path))
    for workflow in (fitted(node, dataset(frame, 3)), fitted(kept(encoded(tmp_path)), frame)):
        ids = workflow.transform(dataset(frame, 3)).compute()["item_id"]
        assert ids.tolist() == [3] * 15 + [3] * 20 + [5] * 5  # id 3 is key 5, id 4 is key 3


def test_an_encoder_counts_rows_that_were_removed_before_it(tmp_path):
    """The same without FrequencyOrder, and with the filter first."""
    filtered = ["item_id", "keep"] >> ops.Filter(lambda df: df[df["keep"]])
    node = filtered["item_id"] >> FrequencyCategorify(out_path=str(tmp_path))
    fitted(node, dataset(frame_of(NUMBERS), 3))
    counts = pd.read_parquet(tmp_path / "categories" / "popularity.item_id.parquet")
    assert counts["count"].sum() == 60


@pytest.mark.parametrize(
    ("key", "keys", "shown"),
    [
        (lambda number: f"k{number}", ["k1", "k2"], "object values, such as 'k1'"),
        (lambda number: number * 0.5, [0.5, 1.0], "float64 values, such as 0.5"),
        (int, [-1, 2, 3], "values from -1 to 3"),
        (int, [2, 3, 700], "whole numbers from 0 to 9. Received: values from 2 to 700"),
    ],
)
def test_raw_columns_are_not_renumbered(key, keys, shown, tmp_path):
    """A partition that the filter empties when the workflow transforms other data."""
    frame = pd.DataFrame({"item_id": [key(number) for number in NUMBERS], "keep": True})
    frame.loc[NUMBERS == 0, "keep"] = np.arange(9) == 0
    node = kept(encoded(tmp_path)) >> FrequencyOrder("count", "remap", out_path=str(tmp_path))
    workflow = fitted(node, dataset(frame, 1))
    assert workflow.transform(frame)["item_id"].tolist() != []
    later = pd.DataFrame({"item_id": keys, "keep": False})
    with pytest.raises(FrequencyOrderError, match=f"{shown}.*filter the data before"):
        workflow.transform(later)


def test_ids_made_elsewhere_may_differ_in_width(tmp_path):
    """No encoder promised one dtype: the parts of a data set may have been written apart."""
    parts = [pd.DataFrame({"item_id": np.array([0, 0, 1], dtype)}) for dtype in ("i4", "i8")]
    data = Dataset(dd.from_map(lambda part: part, parts, enforce_metadata=False), cpu=True)
    workflow = fitted(["item_id"] >> FrequencyOrder(out_path=str(tmp_path)), data)
    assert workflow.output_schema["item_id"].properties["popularity"]["steps"] == "0:4,1:2,2"
