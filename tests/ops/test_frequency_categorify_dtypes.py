"""Tests keys of every dtype of pandas and NumPy against ids of plain Python, or an error."""

import datetime
import decimal
import enum
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from nvtabular import Workflow

from merlin_popsampler import FrequencyCategorify, FrequencyOrder, PopSamplerError
from tests.support.key_oracle import fitted_ids
from tests.support.workflow_helpers import (
    bytes_below,
    dataset,
    encode,
    fitted,
    forget_vocabularies,
)

DAY = datetime.datetime.fromisoformat("2020-01-02")
D = decimal.Decimal


class Shelf(enum.IntEnum):
    """An enum of integers."""

    LOW = 1
    HIGH = 2


def objects(*keys):
    """Returns a column of these objects, without conversion."""
    take = np.frompyfunc(keys.__getitem__, 1, 1)  # since pandas and NumPy unpack arrays elsewhere
    return pd.Series(take(np.arange(len(keys))), dtype=object)


def sparse(*keys, **given):
    return pd.Series(pd.arrays.SparseArray(np.array(keys, **given)))


def in_arrow(keys, type_):
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(keys, type_)])))


LARGE = 2**63 + 5
RIGHT = {
    "np.uint64": (objects(*map(np.uint64, (LARGE, 1, LARGE, 7))), [LARGE, 1, LARGE, 7]),
    "np.uint64 and int": (objects(np.uint64(LARGE), 1, LARGE, np.int8(1)), [LARGE, 1, LARGE, 1]),
    "np.int64": (objects(*map(np.int64, (2**53, 2**53 + 1, 1, 1))), [2**53, 2**53 + 1, 1, 1]),
    "np.float16": (objects(np.float16(0.5), 0.5, np.float64(2), 1), [0.5, 0.5, 2, 1]),
    "np.float32 and int": (
        objects(np.float32(0.1), 0.1, 1, None),
        [float(np.float32(0.1)), 0.1, 1, None],
    ),
    "np.bool_": (objects(np.bool_(True), False, False, None), [True, False, False, None]),
    "np.str_": (objects(np.str_("b"), "a", np.str_("a"), "c"), ["b", "a", "a", "c"]),
    "np.bytes_": (objects(np.bytes_(b"b"), b"a", np.bytes_(b"a"), None), [b"b", b"a", b"a", None]),
    "enums": (objects(Shelf.HIGH, Shelf.LOW, Shelf.HIGH, 1), [2, 1, 2, 1]),
    "every null": (objects(None, np.nan, pd.NA, pd.NaT), [None] * 4),
    "sparse int64": (sparse(2**53 + 1, 0, 2**53, 0), [2**53 + 1, 0, 2**53, 0]),
    "sparse uint64": (sparse(LARGE, 0, LARGE, 0, dtype="uint64"), [LARGE, 0, LARGE, 0]),
    "sparse float64": (sparse(2.5, np.nan, 2.5, 1), [2.5, None, 2.5, 1]),
    "sparse bool": (sparse(True, False, True, False), [True, False, True, False]),
    "sparse strings": (sparse("b", "a", "b", None, dtype=object), ["b", "a", "b", None]),
    "Int8": (pd.Series([5, 4, 5, None], dtype="Int8"), [5, 4, 5, None]),
    "Int64": (
        pd.Series([2**53 + 1, 2**53, 2**53, None], dtype="Int64"),
        [2**53 + 1, 2**53, 2**53, None],
    ),
    "UInt64": (pd.Series([LARGE, 4, LARGE, None], dtype="UInt64"), [LARGE, 4, LARGE, None]),
    "Float32": (pd.Series([0.5, 4, 0.5, None], dtype="Float32"), [0.5, 4, 0.5, None]),
    "boolean": (pd.Series([True, False, True, None], dtype="boolean"), [True, False, True, None]),
    "string[python]": (
        pd.Series(["b", "a", "b", None], dtype="string[python]"),
        ["b", "a", "b", None],
    ),
    "string[pyarrow]": (
        pd.Series(["b", "a", "b", None], dtype="string[pyarrow]"),
        ["b", "a", "b", None],
    ),
    "categories of Int64": (
        pd.Series(pd.Categorical(pd.array([2**53 + 1, 4, 4, None], "Int64"))),
        [2**53 + 1, 4, 4, None],
    ),
    "Arrow's uint64": (in_arrow([LARGE, 1, LARGE, None], pa.uint64()), [LARGE, 1, LARGE, None]),
    "Arrow's strings": (in_arrow(["b", "a", "b", None], pa.large_string()), ["b", "a", "b", None]),
    "Arrow's categories": (
        in_arrow(["b", "a", "b", "c"], pa.dictionary(pa.int8(), pa.string())),
        ["b", "a", "b", "c"],
    ),
    "Arrow's decimals": (
        in_arrow([D("1.5"), D("2.5"), None, None], pa.decimal128(4, 2)),
        [D("1.5"), D("2.5"), None, None],
    ),
    "Arrow's days": (
        in_arrow([DAY.date(), DAY.date(), None, None], pa.date32()),
        [DAY.date(), DAY.date(), None, None],
    ),
    "Arrow's times": (in_arrow([DAY, DAY, None, None], pa.timestamp("us")), [DAY, DAY, None, None]),
}


@pytest.mark.parametrize("npartitions", [1, 2, 4])
@pytest.mark.parametrize("split_out", [1, 3])
def test_every_dtype(tmp_path, npartitions, split_out):
    """Regression: NumPy's scalars, enums, sparse, nullable and Arrow columns, all nulls.

    Rows are partitioned in several ways, and requests have one row.
    """
    frame = pd.DataFrame({name: series for name, (series, _) in RIGHT.items()})
    workflow, made = encode(
        frame, list(RIGHT), str(tmp_path), npartitions=npartitions, split_out=split_out
    )
    for name, (_, keys) in RIGHT.items():
        ids = fitted_ids(key for key in keys if key is not None)
        expected = [1 if key is None else ids[key] for key in keys]
        assert made[name].tolist() == expected, name
        assert workflow.output_schema[name].properties["popularity"]["max_id"] == 2 + len(ids)
    rows = [workflow.transform(frame.iloc[row : row + 1]) for row in range(len(frame))]
    pd.testing.assert_frame_equal(pd.concat(rows, ignore_index=True), made)


PERIODS = pd.Series(pd.PeriodIndex(["2020-02", "2020-01", None, "2020-01"], freq="M"))
VALUES = pd.Series([1, 2, 9, 2])
REFUSED = {
    "intervals": (
        pd.cut(VALUES, [0, 1, 2]),
        "labels=False",
        pd.cut(VALUES, [0, 1, 2], labels=False),
    ),
    "objects that are intervals": (pd.cut(VALUES, [0, 1, 2]).astype(object), "labels=False", None),
    "an array of intervals": (
        pd.Series(pd.arrays.IntervalArray.from_breaks([0, 1, 2])),
        "labels=F",
        None,
    ),
    "periods": (PERIODS, r"column.dt.to_timestamp\(\)", PERIODS.dt.to_timestamp()),
    "objects that are periods": (PERIODS.astype(object), "to_timestamp", None),
    "np.timedelta64": (
        objects(*map(np.timedelta64, (1, 24, 1), "DhD"), None),
        r"timedelta64\[ns\]",
        objects(*map(np.timedelta64, (1, 24, 1), "DhD"), None).astype("timedelta64[ns]"),
    ),
    "np.timedelta64 and timedelta": (
        objects(np.timedelta64(1, "D"), datetime.timedelta(1)),
        "timed",
        None,
    ),
    "np.datetime64": (
        objects(*map(np.datetime64, ("2020-01", "2020-01-01")), None),
        r"datetime64\[ns\]",
        objects(*map(np.datetime64, ("2020-01", "2020-01-01")), None).astype("datetime64[ns]"),
    ),
    "longdouble": (
        pd.Series(np.array([1.5, 2, 1.5], np.longdouble)),
        "float64",
        pd.Series(np.array([1.5, 2, 1.5], np.longdouble)).astype("float64"),
    ),
    "objects of longdouble": (objects(np.longdouble(1.5), 2.5), "float64", None),
    "complex": (objects(1j, 2j, None), "string", objects(1j, 2j, None).astype("string")),
    "np.complex64": (pd.Series([1j, 2j], dtype="complex64"), "string", None),
    "np.void": (objects(np.void(b"a"), np.void(b"b")), "string", None),
    "UUIDs": (
        objects(uuid.UUID(int=1), None),
        "string",
        objects(uuid.UUID(int=1), None).astype("string"),
    ),
    "inf": (
        pd.Series([0.5, np.inf, -np.inf]),
        "finite.*an infinite float64",
        pd.Series([0.5, np.inf, -np.inf]).replace([np.inf, -np.inf], np.nan),
    ),
    "inf in float32": (pd.Series([1, np.inf], dtype="float32"), "an infinite float32", None),
    "inf in Float64": (pd.Series([1, -np.inf], dtype="Float64"), "an infinite float64", None),
    "inf among objects": (objects(1, np.inf), "an infinite float64", None),
    "inf among large integers": (objects(2**60, np.inf), "an infinite float64", None),
    "sparse inf": (sparse(0.5, np.inf), "an infinite float64", None),
    "decimal infinity": (
        objects(D("Infinity"), D("-Infinity"), D(1)),
        r"Decimal\('Infinity'\)",
        objects(D("Infinity"), D("-Infinity"), D(1)).replace([np.inf, -np.inf], np.nan),
    ),
    "a signalling NaN": (objects(D("sNaN"), D(1)), r"Decimal\('sNaN'\)", None),
    "a signalling NaN further on": (objects(D(1), None, D("sNaN")), r"Decimal\('sNaN'\)", None),
    "a signalling NaN in a list": (objects([D(1)], [D("sNaN")]), r"Decimal\('sNaN'\)", None),
    "arrays of far days": (
        objects(np.array(["3020-01-01"], "M8[D]"), np.array(["2020-01-01"], "M8[D]")),
        r"datetime64\[D\] keys that datetime64\[ns\] cannot represent",
        None,
    ),
    "arrays of long seconds": (
        objects(np.array([1], "m8[s]"), np.array([10**12], "m8[s]")),
        r"timedelta64\[s\] keys that timedelta64\[ns\] cannot represent",
        None,
    ),
    "arrays of records": (
        objects(np.zeros(2, [("a", int)]), np.zeros(1, [("a", int)])),
        "keys of type void",
        None,
    ),
    "arrays without a dimension": (
        objects(np.array(1), np.array(2)),
        "lists and single keys",
        None,
    ),
    "arrays of two dimensions": (objects(np.eye(2), np.eye(2)), "keys of type ndarray", None),
    "Arrow's lists of lists": (in_arrow([[[1]]], pa.list_(pa.list_(pa.int8()))), "type list", None),
    "Arrow's structures": (in_arrow([{"a": 1}], pa.struct({"a": pa.int8()})), "type dict", None),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_is_refused(tmp_path, case):
    """Regression: refused before any file is published, and the advice of the message works."""
    series, says, advised = REFUSED[case]
    out_path = str(tmp_path / "out")
    encoder = FrequencyCategorify(out_path=out_path)
    workflow = fitted(["item_id"] >> encoder, dataset(pd.DataFrame({"item_id": [3, 4, 4]}), 1))
    before = bytes_below(out_path)
    with pytest.raises(PopSamplerError, match=f"'item_id'.*{says}"):
        workflow.fit(dataset(pd.DataFrame({"item_id": series}), 1))
    assert bytes_below(out_path) == before
    assert encoder.fits["item_id"].metadata.max_id == 4
    if advised is not None:
        _, made = encode(pd.DataFrame({"item_id": advised}), ["item_id"], str(tmp_path / "new"), 1)
        assert [key == 1 for key in made["item_id"]] == advised.isna().tolist()
        assert made["item_id"].nunique() == advised.nunique(dropna=False)


def test_sparse_ids_are_put_in_order(tmp_path):
    """Regression: `remap` gives new ids to a sparse column of ids as to any other."""
    frame = pd.DataFrame({"shelf": [7, 0, 0, 8, 8, 8]})
    order = FrequencyOrder(on_violation="remap", out_path=str(tmp_path))
    workflow = fitted(["shelf"] >> order, dataset(frame, 1))
    asked = pd.DataFrame({"shelf": sparse(7, 0, 0, 8)})
    assert workflow.transform(asked)["shelf"].tolist() == [2, 1, 1, 0]


def test_lists_in_arrow_are_lists(tmp_path):
    """Regression: requests of lists, large lists and lists of fixed size in pandas' Arrow columns.

    Dask itself cannot partition them.
    """
    frame = pd.DataFrame(
        {
            "list": in_arrow([[1, 2], None, [2]], pa.list_(pa.int64())),
            "large": in_arrow([["a", "b"], [], ["b", None]], pa.large_list(pa.string())),
            "fixed": in_arrow([[1.5, 2], [2, 2], [0, 0]], pa.list_(pa.float32(), 2)),
        }
    )
    plain = pd.DataFrame({name: objects(*frame[name].tolist()) for name in frame})
    workflow, _ = encode(plain, list(frame), str(tmp_path), 1)
    made = workflow.transform(frame)
    assert [list(row) for row in made["list"]] == [[4, 3], [], [3]]
    assert [list(row) for row in made["large"]] == [[4, 3], [], [3, 1]]
    assert [list(row) for row in made["fixed"]] == [[5, 3], [3, 3], [4, 4]]


ROWS_OF_ARRAYS = {
    "bytes of one width": ([b"ba", b"a"], [b"a"], "S2"),
    "strings of one width": (["ba", "a"], ["a"], "U2"),
    "days": (["2020-01-02", "2020-01-01"], ["2020-01-01"], "M8[D]"),
    "hours": ([2, 1], [1], "m8[h]"),
    "microseconds": ([DAY, "NaT"], [DAY], "M8[us]"),
}


@pytest.mark.parametrize("case", sorted(ROWS_OF_ARRAYS))
def test_lists_that_are_arrays_of_any_dtype(tmp_path, case):
    """Regression: bytes and strings of one width, and times of other units than pandas' own."""
    first, second, dtype = ROWS_OF_ARRAYS[case]
    frame = pd.DataFrame({"item_id": objects(np.array(first, dtype), np.array(second, dtype))})
    _, made = encode(frame, ["item_id"], str(tmp_path), 1)
    expected = [[3, 1], [3]] if "NaT" in first else [[4, 3], [3]]
    assert [list(row) for row in made["item_id"]] == expected


@pytest.mark.parametrize(
    "dtype",
    ["Int64", pd.Int64Dtype(), "float32", "O", "category", "datetime64[ns]", "none", bool, [1]],
    ids=str,
)
def test_dtypes_of_ids(dtype):
    """Regression: nullable dtypes, other kinds of dtypes, and other values raise the error."""
    with pytest.raises(PopSamplerError, match="NumPy integer dtype"):
        FrequencyCategorify(dtype=dtype)


NAMES = [
    "a/b",
    "a_b-575aa622",
    "..",
    "A",
    "a",
    "\u00e9",
    "e\u0301",
    "unique.",
    "x" * 300,
    "a*b[c]?",
]


@pytest.mark.parametrize("selection", [NAMES, [NAMES[:2], NAMES[2:4]]], ids=["alone", "joint"])
def test_columns_of_any_name(tmp_path, selection):
    """Regression: names that are paths, patterns or long, or the file names of other columns."""
    frame = pd.DataFrame({name: [f"{name} x", f"{name} y", f"{name} y"] for name in NAMES})
    workflow, made = encode(frame, selection, str(tmp_path / "out"), 1)
    workflow.save(str(tmp_path / "saved"))
    forget_vocabularies()
    loaded = Workflow.load(str(tmp_path / "saved"))
    for found in (made, loaded.transform(frame)):
        for name in found.columns:
            assert found[name].nunique() == 2 and found[name].min() >= 3, name


@pytest.mark.parametrize("name", ["a\0b", "\0", "a\ud800"], ids=ascii)
@pytest.mark.parametrize("joint", [False, True])
def test_names_that_parquet_cannot_store_are_refused(tmp_path, name, joint):
    """Regression: pyarrow cuts a name at its NUL, and cannot encode half of a surrogate pair."""
    frame = pd.DataFrame([["x", "x"], ["y", "y"]], columns=pd.Index([name, "b"], dtype=object))
    selection = [[name, "b"]] if joint else [name]
    with pytest.raises(PopSamplerError, match="name that a Parquet file can hold"):
        encode(frame, selection, str(tmp_path), 1)
    assert bytes_below(tmp_path) == {}
