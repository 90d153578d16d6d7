"""Tests partitions that a filter empties: Merlin then passes the raw column on."""

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
"""Rows of the second of three partitions; the filter removes all of them."""


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
        pytest.param([f"k{key}" for key in NUMBERS], "number and string", id="words"),
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


def test_raw_ids_within_the_range_cannot_be_detected(tmp_path):
    """Shows Merlin's behaviour: removed rows are back, with keys instead of ids."""
    keys = np.array([5] * 20 + [3] * 20 + [5] * 15 + [7] * 5)
    frame = frame_of(keys)
    frame.loc[15:54, "keep"] = False
    node = kept(encoded(tmp_path)) >> FrequencyOrder("count", "warn", out_path=str(tmp_path))
    for workflow in (fitted(node, dataset(frame, 3)), fitted(kept(encoded(tmp_path)), frame)):
        ids = workflow.transform(dataset(frame, 3)).compute()["item_id"]
        assert ids.tolist() == [3] * 15 + [3] * 20 + [5] * 5  # id 3 is key 5, id 4 is key 3


def test_an_encoder_counts_rows_that_were_removed_before_it(tmp_path):
    """The same happens without FrequencyOrder, with the filter first."""
    filtered = ["item_id", "keep"] >> ops.Filter(lambda df: df[df["keep"]])
    node = filtered["item_id"] >> FrequencyCategorify(out_path=str(tmp_path))
    fitted(node, dataset(frame_of(NUMBERS), 3))
    counts = pd.read_parquet(tmp_path / "categories" / "popularity.item_id.parquet")
    assert counts["count"].sum() == 60


@pytest.mark.parametrize(
    ("key", "keys", "shown"),
    [
        (lambda number: f"k{number}", ["k1", "k2"], "(object|str) values, such as 'k1'"),
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


EMPTIES = {
    "Filter": ops.Filter(lambda df: df[df["keep"].fillna(False)]),
    "Dropna": ops.Dropna(),
    "JoinExternal": ops.JoinExternal(pd.DataFrame({"keep": [True]}), on=["keep"], how="inner"),
}
"""Operators that may leave a partition without rows."""


def fitted_in_order(
    tmp_path, keys, order, encoder=FrequencyCategorify, empties="Filter", **options
):
    """Returns a workflow whose FrequencyOrder has nothing to renumber."""
    ids = ["item_id"] >> encoder(out_path=str(tmp_path / "ids"), **options)
    rows = ids + ["keep"] >> EMPTIES[empties]
    frame = pd.DataFrame({"item_id": pd.Series(keys), "keep": True})
    return fitted(rows["item_id"] >> order, dataset(frame, 1))


def gone(keys):
    """Returns rows that every operator in `EMPTIES` removes."""
    return pd.DataFrame({"item_id": pd.Series(keys), "keep": pd.Series([None] * len(keys))})


ORDERS = {
    "raise": {},
    "warn": {"on_violation": "warn"},
    "remap": {"on_violation": "remap"},
    "vocabulary": {"mode": "vocabulary"},
}
REQUESTS = {
    "words": (["a", "a", "b"], ["a"], "(object|str) values, such as 'a'"),
    "numbers": ([70, 70, 80], [70], "from 0 to 4. Received: values from 70 to 70"),
    "negative": ([-3, -3, 80], [-3], "values from -3 to -3"),
    "fractions": ([2.5, 2.5, 3.0], [2.5], "float64 values, such as 2.5"),
    "nulls": ([2.0, 2.0, None], [None, 2.0], "nulls"),
    "times": (pd.to_datetime(["2026-01-01"] * 2), pd.to_datetime(["2026-01-01"]), "datetime64"),
    "lists of words": ([["a"], ["a", "b"]], [["a"]], "(object|str) values, such as 'a'"),
    "lists of numbers": ([[70], [70, 80]], [[70], []], "values from 70 to 70"),
}


ENCODERS = [FrequencyCategorify, ops.Categorify]


@pytest.mark.parametrize(
    "case, order, encoder",
    [
        (case, order, encoder)
        for encoder in ENCODERS
        for case in REQUESTS
        for order in ORDERS
        # An order's options do not depend on the kind of keys; stock does not encode times.
        if (order == "raise" or case in ("words", "numbers"))
        and (case, encoder) != ("times", ops.Categorify)
    ],
)
def test_a_request_that_is_emptied_is_refused(case, order, encoder, tmp_path):
    """Regression: the error is raised even if the fit renumbered no id.

    Cases: each way of ordering, both encoders, keys of each kind, lists and nulls.
    """
    keys, asked, shown = REQUESTS[case]
    operator = FrequencyOrder(out_path=str(tmp_path / "order"), **ORDERS[order])
    workflow = fitted_in_order(tmp_path, keys, operator, encoder)
    assert not any(found.remaps for found in operator.fits.values())
    with pytest.raises(PopSamplerError, match=shown):
        workflow.transform(gone(asked))


@pytest.mark.parametrize("empties", EMPTIES)
@pytest.mark.parametrize("part", range(3))
def test_a_later_partition_that_is_emptied_is_refused(part, empties, tmp_path):
    """Regression: each operator that may empty a partition, and each partition."""
    order = FrequencyOrder(out_path=str(tmp_path / "order"))
    workflow = fitted_in_order(tmp_path, ["a", "a", "b"], order, empties=empties)
    frame = pd.DataFrame({"item_id": list("abaabb"), "keep": True})
    made = workflow.transform(dataset(frame, 3)).compute()["item_id"]
    assert made.tolist() == [3, 4, 3, 3, 4, 4]
    frame["keep"] = frame["keep"].astype(object)
    frame.loc[frame.index // 2 == part, "keep"] = None
    with pytest.raises(FrequencyOrderError, match=r"(object|str) values.*filter the data before"):
        workflow.transform(dataset(frame, 3)).compute()


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("dtype", ["int32", "float64", "Int64"])
def test_raw_ids_within_the_range_are_detected_by_their_dtype(dtype, lists, tmp_path):
    """Regression: an encoder's ids have one dtype. Raw ids of it within range are missed."""
    keys = [[3], [3, 4]] if lists else [3, 3, 4]
    order = FrequencyOrder(out_path=str(tmp_path / "order"))
    workflow = fitted_in_order(tmp_path, keys, order)

    def raw(dtype):
        if lists:
            rows = [pd.array([3, 4], dtype), pd.array([4], dtype)]
            return gone([np.asarray(row, str(dtype).lower()) for row in rows])
        return gone(pd.array([3, 4], dtype))

    if not (lists and dtype == "Int64"):
        shown = f"{dtype} values, where the fit had int64"
        with pytest.raises(FrequencyOrderError, match=shown):
            workflow.transform(raw(dtype))
    assert len(workflow.transform(raw("int64"))) == 2
    narrow = FrequencyOrder(out_path=str(tmp_path / "narrow"))
    workflow = fitted_in_order(tmp_path, keys, narrow, dtype="int32")
    with pytest.raises(FrequencyOrderError, match="int64 values, where the fit had int32"):
        workflow.transform(raw("int64"))


def test_the_range_is_that_of_the_fit_that_is_under_way(tmp_path):
    """During a second fit on more items, the new range applies."""
    ids = ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "ids"))
    first, second = (FrequencyOrder(out_path=str(tmp_path / name)) for name in "ab")
    workflow = fitted(ids >> first >> second, dataset(pd.DataFrame({"item_id": [1, 1, 2]}), 1))
    more = pd.DataFrame({"item_id": np.arange(50)})
    workflow.fit(dataset(more, 1))
    assert workflow.transform(more)["item_id"].tolist() == list(range(3, 53))


@pytest.mark.parametrize("encoder", [FrequencyCategorify, ops.Categorify])
def test_the_range_of_data_that_were_encoded_before(encoder, tmp_path):
    """Their schema has the last id, with or without a contract of this package."""
    frame = pd.DataFrame({"item_id": [1, 1, 2]})
    encoded = fitted(["item_id"] >> encoder(out_path=str(tmp_path / "ids")), dataset(frame, 1))
    data = encoded.transform(dataset(frame, 1))
    workflow = fitted(["item_id"] >> FrequencyOrder(out_path=str(tmp_path / "order")), data)
    narrow = pd.DataFrame({"item_id": np.array([4, 3], "int32")})  # as it may have been written
    assert workflow.transform(narrow)["item_id"].tolist() == [4, 3]
    with pytest.raises(FrequencyOrderError, match="from 0 to 4. Received: values from 5 to 5"):
        workflow.transform(pd.DataFrame({"item_id": [5]}))


def test_ids_that_no_encoder_made_may_grow(tmp_path):
    frame = pd.DataFrame({"item_id": [0, 0, 1]})
    workflow = fitted(["item_id"] >> FrequencyOrder(out_path=str(tmp_path)), dataset(frame, 1))
    assert workflow.transform(frame * 70)["item_id"].tolist() == [0, 0, 70]
    with pytest.raises(FrequencyOrderError, match="(object|str) values"):
        workflow.transform(pd.DataFrame({"item_id": ["a"]}))


def test_ids_made_elsewhere_may_differ_in_width(tmp_path):
    """Without an encoder, files of a data set may have different integer types."""
    parts = [pd.DataFrame({"item_id": np.array([0, 0, 1], dtype)}) for dtype in ("i4", "i8")]
    data = Dataset(dd.from_map(lambda part: part, parts, enforce_metadata=False), cpu=True)
    workflow = fitted(["item_id"] >> FrequencyOrder(out_path=str(tmp_path)), data)
    assert workflow.output_schema["item_id"].properties["popularity"]["steps"] == "0:4,1:2,2"
