"""Tests columns of lists, also if single partitions have only nulls."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from merlin.dtypes.shape import DefaultShapes
from merlin.io import Dataset
from merlin.schema import ColumnSchema, Schema

from merlin_popsampler import FrequencyCategorify, FrequencyOrder, PopSamplerError
from tests.support.workflow_helpers import (
    bytes_below,
    counts_file,
    dataset,
    encode,
    expected_ids,
    fitted,
)

LISTS = pa.list_(pa.int64())
FULL, NULLS = pa.array([[7, 5], [5]], LISTS), pa.array([None, None], LISTS)
UNTYPED, EMPTY = pa.nulls(2), pa.array([], LISTS)


def files(folder, columns):
    paths = [f"{folder}/{number}.parquet" for number in range(len(columns))]
    for path, column in zip(paths, columns):
        pq.write_table(pa.table({"item_id": column}), path)
    return Dataset(paths, engine="parquet", cpu=True)


def ids_in_lists(rows):
    """Returns the expected ids of rows of lists, in plain Python; null rows are empty lists."""
    ids = expected_ids(key for row in rows for key in row or ())
    return [[1 if key is None else ids[key] for key in row or ()] for row in rows]


def made_by(workflow, data):
    return [list(row) for row in workflow.transform(data).compute()["item_id"]]


@pytest.mark.parametrize(
    "columns",
    [
        [FULL, NULLS, FULL],
        [FULL, UNTYPED, FULL],
        [FULL, NULLS],
        [pa.concat_arrays([NULLS, FULL])],
        [pa.array([None, [None]], LISTS), FULL],
        [NULLS, FULL],
        [UNTYPED, FULL, NULLS],
        [pa.array([None, []], LISTS), FULL],
        [FULL, pa.array([None, []], LISTS)],
        [pa.array([[7, 5], None, [5]], pa.large_list(pa.int64())), NULLS],
        [pa.array([[7, 5], [5, 5]], pa.list_(pa.int64(), 2)), FULL, NULLS],
    ],
    ids=[
        *["between", "without a type", "last", "in one file", "a null element", "first"],
        *["first, without a type", "first, with an empty list", "last, with an empty list"],
        *["large lists", "lists of fixed size"],
    ],
)
@pytest.mark.parametrize("order", [None, "raise", "remap"])
def test_files_of_lists_and_nulls(tmp_path, columns, order):
    """Regression: the fit of a FrequencyOrder that follows encodes each file by itself.

    Cases: null lists, with and without a type, in each place; null elements; empty and null lists;
    large lists and lists of fixed size. Merlin itself cannot fit a file of empty lists alone, nor
    write an empty partition to Parquet next to other ones.
    """
    data = files(tmp_path, columns)
    node = ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "out"))
    if order:
        node = node >> FrequencyOrder(on_violation=order, out_path=str(tmp_path / "out"))
    workflow = fitted(node, data)
    rows = [row for column in columns for row in column.to_pylist()]
    assert made_by(workflow, data) == ids_in_lists(rows)
    column = workflow.output_schema["item_id"]
    assert column.is_list and column.dtype.name == "int64"
    nulls = sum(key is None for row in rows for key in row or ())
    assert counts_file(str(tmp_path / "out"))[1] == nulls
    workflow.transform(data).to_parquet(str(tmp_path / "made"))
    parts = sorted((tmp_path / "made").glob("*.parquet"))
    written = pd.concat([pd.read_parquet(part) for part in parts])
    assert [list(row) for row in written["item_id"]] == ids_in_lists(rows)


def test_an_empty_file_among_lists(tmp_path):
    data = files(tmp_path, [FULL, EMPTY, FULL])
    workflow = fitted(["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "out")), data)
    assert made_by(workflow, data) == ids_in_lists(FULL.to_pylist() * 2)


STRINGS = pa.array([["b", "a"], None, ["a"]], pa.list_(pa.string()))
CODED = pa.array(STRINGS.to_pylist(), pa.list_(pa.dictionary(pa.int8(), pa.string())))


@pytest.mark.parametrize("column", [STRINGS, CODED], ids=["strings", "dictionary"])
def test_lists_of_strings(tmp_path, column):
    """Regression: a file of null lists follows, as strings and as a dictionary."""
    data = files(tmp_path, [column, NULLS])
    node = ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "out"))
    workflow = fitted(node >> FrequencyOrder(out_path=str(tmp_path / "out")), data)
    assert made_by(workflow, data) == [[4, 3], [], [3], [], []]


@pytest.mark.parametrize("null", [None, np.nan, pd.NA, pd.NaT], ids=str)
@pytest.mark.parametrize("dtype", [object, None], ids=["objects", "any dtype"])
def test_a_request_of_nulls_is_one_of_empty_lists(out_path, null, dtype):
    """Regression: pandas infers floats or times for such a column."""
    workflow, _ = encode(pd.DataFrame({"item_id": [[7, 5], [5]]}), ["item_id"], out_path, 1)
    for number in (0, 1, 3):
        asked = pd.DataFrame({"item_id": pd.Series([null] * number, dtype=dtype)})
        assert [list(row) for row in workflow.transform(asked)["item_id"]] == [[]] * number


@pytest.mark.parametrize("order", [None, "raise", "remap"])
@pytest.mark.parametrize("column", [NULLS, UNTYPED], ids=["typed", "untyped"])
def test_null_lists_alone_are_lists_where_the_schema_says_so(tmp_path, column, order):
    """Regression: pandas frames do not show the type, but Merlin's data sets have a schema."""
    said = Schema([ColumnSchema("item_id", dtype="int64", dims=DefaultShapes.LIST)])
    data = files(tmp_path, [column, column])
    data.schema = said
    node = ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "out"))
    if order:
        node = node >> FrequencyOrder(on_violation=order, out_path=str(tmp_path / "out"))
    workflow = fitted(node, data)
    assert made_by(workflow, data) == [[]] * 4
    assert workflow.output_schema["item_id"].is_list
    assert counts_file(str(tmp_path / "out")) == [0, 0, 0]


def test_a_schema_of_lists_does_not_make_lists_of_keys(tmp_path):
    """The rows take precedence over the schema."""
    data = files(tmp_path, [pa.array([7, 5, 5])])
    data.schema = Schema([ColumnSchema("item_id", dtype="int64", dims=DefaultShapes.LIST)])
    workflow = fitted(["item_id"] >> FrequencyCategorify(out_path=str(tmp_path / "out")), data)
    assert workflow.transform(data).compute()["item_id"].tolist() == [4, 3, 3]


def test_the_schema_of_ids_is_a_schema_as_any_other(tmp_path):
    """It equals a plain schema in both directions, and its copies keep its methods."""
    workflow, _ = encode(pd.DataFrame({"item_id": [[7], [5]]}), ["item_id"], str(tmp_path), 1)
    column = workflow.output_schema["item_id"]
    plain = ColumnSchema(
        column.name, column.tags, column.properties, column.dtype, dims=column.shape.as_tuple
    )
    assert type(plain) is ColumnSchema and column == plain and plain == column
    assert column != plain.with_name("b") and plain.with_name("b") != column
    assert column != "item_id"
    renamed = column.with_name("b").with_dtype("int32").with_shape(plain.shape)
    assert renamed.with_dtype(None) == plain.with_name("b").with_dtype("int32")


elements = st.one_of(st.integers(0, 3), st.none())
# only requests, since Merlin itself fails on a partition of empty lists
some_rows = st.lists(st.one_of(st.none(), st.lists(elements, min_size=1, max_size=3)), max_size=8)


@hypothesis.settings(max_examples=50)
@hypothesis.given(some_rows, st.integers(1, 6), st.integers(2, 4), st.booleans())
def test_any_partitioning_of_lists(tmp_path_factory, rows, npartitions, split_every, arrays):
    out_path = str(tmp_path_factory.mktemp("out"))
    rows = [[1], *rows]
    made = [np.array(row, object) if arrays and row is not None else row for row in rows]
    frame = pd.DataFrame({"item_id": pd.Series(made, dtype=object)})
    workflow, encoded = encode(frame, ["item_id"], out_path, npartitions, split_every=split_every)
    assert [list(row) for row in encoded["item_id"]] == ids_in_lists(rows)
    assert counts_file(out_path)[1] == sum(key is None for row in rows for key in row or ())
    for row, ids in zip([*rows, []], [*ids_in_lists(rows), []]):  # requests are often of one row
        one = workflow.transform(pd.DataFrame({"item_id": pd.Series([row], dtype=object)}))
        assert [list(row) for row in one["item_id"]] == [ids]
    assert list(workflow.transform(frame.iloc[:0])["item_id"]) == []


@pytest.mark.parametrize(
    "rows",
    [
        [(1, 2), (2,)],
        [[1], (2,)],
        [{"a": 1}],
        [frozenset([1]), frozenset([2])],
        [[[1]], [[2]]],
        [[1, True]],
        [[1], "a"],
        ["a", ["a"]],
        [[1], 1],
        [np.array([2**53 + 1]), np.array([np.nan, 1.0])],
    ],
    ids=str,
)
def test_rows_that_are_neither_keys_nor_lists_of_keys(out_path, rows):
    frame = pd.DataFrame({"item_id": pd.Series(rows, dtype=object)})
    with pytest.raises(PopSamplerError, match="'item_id'"):
        encode(frame, ["item_id"], out_path, 1)
    assert bytes_below(out_path) == {}


def test_lists_of_a_column_of_keys_and_keys_of_a_column_of_lists(out_path):
    keys = pd.DataFrame({"item_id": [1, 2]})
    lists = pd.DataFrame({"item_id": [[1], [2, 2]]})
    for number, (given, asked) in enumerate([(keys, lists), (lists, keys)]):
        workflow, _ = encode(given, ["item_id"], f"{out_path}/{number}", 1)
        with pytest.raises(PopSamplerError, match="'item_id'.*, where the fit or other rows have"):
            workflow.transform(asked)


def test_a_joint_group_of_lists_and_keys(out_path):
    """A list column and a column of keys share a vocabulary; each keeps its own shape."""
    frame = pd.DataFrame({"hist": [[1, 2], [2], [3, None]], "next": [2.0, None, 7.0]})
    encoder = FrequencyCategorify(out_path=out_path)
    workflow = fitted([["hist", "next"]] >> encoder, dataset(frame, 1))
    ids = expected_ids([1, 2, 2, 3, 2, 7])
    asked = pd.DataFrame({"hist": pd.Series([None, [3]], dtype=object), "next": [None, None]})
    made = workflow.transform(asked)
    assert [list(row) for row in made["hist"]] == [[], [ids[3]]] and made["next"].tolist() == [1, 1]
    assert counts_file(out_path, "hist_next")[:3] == [0, 2, 0]


def test_lists_cannot_be_combined(out_path):
    frame = pd.DataFrame({"a": [[1], [2]], "b": [1, 2]})
    with pytest.raises(PopSamplerError, match=r"\['a', 'b'\].*Explode"):
        encode(frame, [["a", "b"]], out_path, 1, encode_type="combo")
