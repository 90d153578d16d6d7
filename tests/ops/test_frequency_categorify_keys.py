"""Compares ids for all types of keys, nulls and partitions with plain Python."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest
from merlin.io import Dataset

from merlin_popsampler import FrequencyCategorify, PopSamplerError
from tests.support.workflow_helpers import (
    bytes_below,
    counts_file,
    encode,
    expected_ids,
    fitted,
    popularity,
    vocabulary,
)

KEYS = {
    "int8": np.array([3, -3, 3, 5], "int8"),
    "uint64": np.array([2**63 + 5, 1, 2**63 + 5, 7], "uint64"),
    "int64 above 2**53": np.array([2**53 + 1, 2**53, 2**53 + 1, 2**53 + 2]),
    "fractions": np.array([0.5, -1.25, 0.5, 3.0]),
    "bool": np.array([True, False, True, True]),
    "words": np.array(["b", "a", "b", "c"], object),
    "bytes": np.array([b"b", b"a", b"b", b"c"], object),
    "times": np.array(["2020-01-02", "2019-01-01", "2020-01-02", "2021-01-01"], "M8[ns]"),
    "dates": np.array([datetime.date(2020, 1, day) for day in (2, 1, 2, 3)], object),
    "decimals": np.array([decimal.Decimal(n) for n in ("1.5", "0.5", "1.5", "2.5")], object),
    "Int64": pd.array([5, 4, 5, 6], "Int64"),
    "string": pd.array(["b", "a", "b", "c"], "string"),
    "boolean": pd.array([True, False, True, True], "boolean"),
    "categories": pd.Categorical(["b", "a", "b", "c"], categories=["z", "c", "b", "a"]),
    "categories of numbers": pd.Categorical([5, 4, 5, 6], categories=[9, 6, 5, 4]),
}


@pytest.mark.parametrize("kind", sorted(KEYS))
@pytest.mark.parametrize("with_null", [False, True])
def test_every_kind_of_key(kind, with_null, out_path):
    series = pd.Series(KEYS[kind], name="item_id")
    keys = list(series)
    if with_null:
        if kind in ("uint64", "int64 above 2**53", "bool", "int8"):
            series = series.astype({"u": "UInt64", "i": "Int64", "b": "boolean"}[series.dtype.kind])
        series = pd.concat([series, pd.Series([None], dtype=series.dtype)], ignore_index=True)
        series.name = "item_id"
    frame = pd.DataFrame({"item_id": series})
    workflow, encoded = encode(frame, ["item_id"], out_path, npartitions=2)
    ids = expected_ids(keys)
    assert encoded["item_id"].tolist() == [ids[key] for key in keys] + [1] * with_null
    assert popularity(workflow)["max_id"] == 2 + len(ids)
    assert workflow.transform(frame)["item_id"].tolist() == encoded["item_id"].tolist()


def test_unused_categories_are_not_items(out_path):
    """Stock Categorify includes them with count 0, and its domain is too large."""
    column = pd.Categorical(["b", "a", "b"], categories=["a", "b", "unused"])
    workflow, _ = encode(pd.DataFrame({"item_id": column}), ["item_id"], out_path, 1)
    assert vocabulary(out_path)["item_id"].tolist() == ["b", "a"]
    assert popularity(workflow)["max_id"] == 4


def test_big_integers_with_nulls_are_refused(out_path):
    """Their reader converted them to floats, so two items had become one."""
    frame = pd.DataFrame({"item_id": [2**53, 2**53 + 1, None]}, dtype=float)
    with pytest.raises(PopSamplerError, match=r"'item_id'.*2\*\*53"):
        encode(frame, ["item_id"], out_path, 1)


def test_big_integers_with_nulls_in_another_partition(tmp_path):
    """They are refused as in one partition; otherwise ids would depend on the partitioning."""
    pd.DataFrame({"item_id": [2**53 + 1, 2**53, 2**53 + 1]}).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"item_id": [None, 7.0]}).to_parquet(tmp_path / "b.parquet")
    data = Dataset([str(tmp_path / f) for f in ("a.parquet", "b.parquet")], engine="parquet")
    with pytest.raises(PopSamplerError, match=r"'item_id'.*2\*\*53"):
        fitted(["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "out")), data)


def test_mixed_keys_are_refused(out_path):
    frame = pd.DataFrame({"item_id": [1, "a", 2, "b"]})
    with pytest.raises(PopSamplerError, match="all keys to have one type"):
        encode(frame, ["item_id"], out_path, 1)
    assert bytes_below(out_path) == {}


@pytest.mark.parametrize(
    "parts",
    [[[5, 5, 6], [None, None], [6, 6, 7]], [[5, 6, 6], [], [6]], [[None], [5]], [[5, None], []]],
)
def test_empty_and_null_partitions(tmp_path, parts):
    """Stock Categorify raises an IndexError in the transform."""
    for number, part in enumerate(parts):
        frame = pd.DataFrame({"item_id": part}, dtype=float if None in part else int)
        frame.to_parquet(tmp_path / f"{number}.parquet")
    data = Dataset([str(tmp_path / f"{n}.parquet") for n in range(len(parts))], engine="parquet")
    workflow = fitted(["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "out")), data)
    keys = sum(parts, [])
    ids = expected_ids(keys)
    expected = [1 if key is None else ids[key] for key in keys]
    assert workflow.transform(data).compute()["item_id"].tolist() == expected


@pytest.mark.parametrize("keys", [[], [None], [None, None, None]])
def test_no_items_at_all(out_path, keys):
    """A fit without items succeeds; only a sampler over them raises an error."""
    frame = pd.DataFrame({"item_id": pd.Series(keys, dtype=object)})
    workflow, encoded = encode(frame, ["item_id"], out_path, 1)
    assert encoded["item_id"].tolist() == [1] * len(keys)
    found = popularity(workflow)
    assert (found["min_id"], found["max_id"], found["steps"]) == (3, 2, "")
    assert counts_file(out_path) == [0, len(keys), 0]
    assert workflow.transform(pd.DataFrame({"item_id": ["new", None]}))["item_id"].tolist() == [
        2,
        1,
    ]


def test_one_item(out_path):
    workflow, encoded = encode(pd.DataFrame({"item_id": ["a"]}), ["item_id"], out_path, 1)
    assert encoded["item_id"].tolist() == [3]
    assert (popularity(workflow)["min_id"], popularity(workflow)["max_id"]) == (3, 3)


def test_a_shuffled_index_changes_nothing(frame, out_path):
    """Stock Categorify finds nulls by index labels."""
    frame.loc[::7, "item_id"] = None
    workflow, encoded = encode(frame, ["item_id"], out_path, 1)
    shuffled = frame.sample(frac=1, random_state=1)
    again = workflow.transform(shuffled)["item_id"].tolist()
    assert again == encoded["item_id"].iloc[shuffled.index].tolist()
    lists = pd.DataFrame({"item_id": [[1], [2, 2]]}, index=[7, 3])
    workflow, _ = encode(lists.reset_index(drop=True), ["item_id"], out_path + "/lists", 1)
    assert [list(row) for row in workflow.transform(lists)["item_id"]] == [[4], [3, 3]]


def test_keys_that_the_vocabulary_cannot_hold_are_unknown(out_path):
    workflow, _ = encode(pd.DataFrame({"item_id": [1, 2, 2]}), ["item_id"], out_path, 1)
    other = pd.DataFrame({"item_id": [2.0, 2.5, np.nan, 1.0]})
    assert workflow.transform(other)["item_id"].tolist() == [3, 2, 1, 4]
    with pytest.raises(PopSamplerError, match="'item_id'.*vocabulary's type"):
        workflow.transform(pd.DataFrame({"item_id": ["one", "two"]}))
    words, _ = encode(pd.DataFrame({"item_id": ["a", "b"]}), ["item_id"], out_path + "/w", 1)
    with pytest.raises(PopSamplerError, match="'item_id'.*vocabulary's type"):
        words.transform(pd.DataFrame({"item_id": [1, 2]}))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"])
def test_any_integer_dtype_that_holds_the_ids(frame, out_path, dtype):
    workflow, encoded = encode(frame, ["item_id"], out_path, dtype=dtype)
    assert encoded["item_id"].dtype == dtype
    assert encoded["item_id"].max() == popularity(workflow)["max_id"]
