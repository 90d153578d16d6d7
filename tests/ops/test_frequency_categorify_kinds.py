"""Compares mixed types of keys with plain Python: equal keys, other keys, or an error."""

import datetime
import decimal
import tempfile
import uuid

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from merlin.io import Dataset

from merlin_popsampler import FrequencyCategorify, PopSamplerError
from tests.support.key_oracle import EXACT, RefusedError, fitted_ids, served_ids
from tests.support.workflow_helpers import bytes_below, encode, fitted

DAY = datetime.datetime.fromisoformat("2020-01-02")
TOKYO = datetime.timezone(datetime.timedelta(hours=9))
D = decimal.Decimal
KINDS = {
    "small integers": st.integers(-2, 3),
    "large integers": st.sampled_from([EXACT - 1, EXACT, EXACT + 1, -EXACT, 2**63 - 1, -1]),
    "unsigned": st.sampled_from([0, 1, 2**63, 2**64 - 1]),
    "huge integers": st.sampled_from([0, 2**64, 2**70, -(2**70)]),
    "floats": st.sampled_from([0.0, -0.0, 1.0, 2.5, 0.5, float(EXACT - 1)]),
    "large floats": st.sampled_from([1.0, float(EXACT), 1e300, float("inf"), float("-inf")]),
    "bools": st.booleans(),
    "words": st.sampled_from(["", "1", "1_0", "a", "a\0b", "a\0c", "a\0", "\uffff", "\U0001f600"]),
    "broken words": st.sampled_from(["a", "\ud800"]),
    "bytes": st.sampled_from([b"", b"1", b"a", b"a\0b", b"a\0c", b"\xff"]),
    "decimals": st.sampled_from([D(0), D(1), D("1.0"), D("2.5"), D("2.50")]),
    "dates": st.sampled_from([DAY.date(), datetime.date(1, 1, 1), datetime.date(9999, 1, 1)]),
    "datetimes": st.sampled_from([DAY, DAY.replace(hour=5), DAY.replace(microsecond=1)]),
    "far datetimes": st.sampled_from([DAY, DAY.replace(year=3000)]),
    "zoned": st.sampled_from([DAY.replace(tzinfo=zone) for zone in (TOKYO, datetime.timezone.utc)]),
    "timedeltas": st.sampled_from([datetime.timedelta(1), datetime.timedelta(0, 1)]),
    "uuids": st.builds(lambda number: uuid.UUID(int=number), st.integers(0, 2)),
    "complex": st.sampled_from([1 + 0j, 1j]),
    "tuples": st.sampled_from([(1, 2), ("a",)]),
    "dicts": st.sampled_from([{"a": 1}, {1: "a"}]),
    "sets": st.sampled_from([frozenset([1]), frozenset("a")]),
}


def columns_of(kind, max_size=5):
    return st.lists(st.one_of(KINDS[kind], st.none()), max_size=max_size)


two_kinds = st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(KINDS)))
fit_and_request = two_kinds.flatmap(lambda two: st.tuples(*map(columns_of, two)))


def objects(keys):
    return pd.DataFrame({"item_id": pd.Series(keys, dtype=object)})


def answer(question):
    """Returns the answer, or that the package or a library raised an error."""
    try:
        return question()
    except (RefusedError, PopSamplerError):
        return "refused"


def fitted_and_served(keys, requests, npartitions):
    with tempfile.TemporaryDirectory() as folder:
        workflow, _ = encode(objects(keys), ["item_id"], folder, npartitions)
        return workflow.transform(objects(requests))["item_id"].tolist()


@hypothesis.settings(max_examples=100)
@hypothesis.given(fit_and_request, st.integers(1, 3))
def test_one_kind_fitted_another_requested(columns, npartitions):
    keys, requests = columns
    expected = answer(lambda: served_ids(fitted_ids(keys), requests))
    assert answer(lambda: fitted_and_served(keys, requests, npartitions)) == expected


@hypothesis.settings(max_examples=60)
@hypothesis.given(fit_and_request, st.integers(1, 4))
def test_two_kinds_in_one_column(columns, npartitions):
    """The error or the ids do not depend on the partitioning."""
    keys = columns[0] + columns[1]
    expected = answer(lambda: served_ids(fitted_ids(keys), keys))
    assert answer(lambda: fitted_and_served(keys, keys, npartitions)) == expected


def files(folder, *columns):
    """Writes a data set with one file for each column, in the Arrow types of the columns."""
    paths = [f"{folder}/{number}.parquet" for number in range(len(columns))]
    for path, column in zip(paths, columns):
        pq.write_table(pa.table({"item_id": column}), path)
    return Dataset(paths, engine="parquet", cpu=True)


def ids_of_files(folder, *columns):
    data = files(folder, *columns)
    workflow = fitted(["item_id"] >> FrequencyCategorify(out_path=f"{folder}/out"), data)
    return workflow.transform(data).compute()["item_id"].tolist()


FILES = {
    "narrow and unsigned": ([1, 0], pa.int32(), [2**63 + 1, 1], pa.uint64(), [3, 4, 5, 3]),
    "whole floats": ([1, 0], pa.int64(), [1.0, 2.0], pa.float32(), [3, 4, 3, 5]),
    "large and whole floats": ([EXACT + 1, 1], pa.int64(), [1.0], pa.float64(), [4, 3, 3]),
    "fractions": ([1, 0], pa.int64(), [1.0, 0.5], pa.float64(), [3, 4, 3, 5]),
    "two zones": ([DAY], pa.timestamp("us", "UTC"), [DAY], pa.timestamp("s", "Asia/Tokyo"), [3, 3]),
    "two units": ([DAY], pa.timestamp("ns"), [DAY], pa.timestamp("s"), [3, 3]),
    "two types of day": ([DAY.date()], pa.date32(), [DAY.date()], pa.date64(), [3, 3]),
    "large words": (["a\0b"], pa.string(), ["a\0b", "a\0c"], pa.large_string(), [3, 3, 4]),
    "scales": ([D("1.5")], pa.decimal128(3, 1), [D("1.5")], pa.decimal128(4, 2), [3, 3]),
    "sizes of bytes": ([b"ab"], pa.binary(2), [b"ab"], pa.binary(), [3, 3]),
    "nulls of any type": (["a"], pa.string(), [None], pa.int64(), [3, 1]),
}
REFUSED_FILES = {
    "dates and times": ([DAY.date()], pa.date32(), [DAY], pa.timestamp("us")),
    "with and without a zone": ([DAY], pa.timestamp("us"), [DAY], pa.timestamp("us", "UTC")),
    "words and bytes": (["a"], pa.string(), [b"a"], pa.binary()),
    "bools and numbers": ([1, 0], pa.int64(), [True], pa.bool_()),
    "decimals and numbers": ([D(1)], pa.decimal128(3, 0), [1], pa.int64()),
    "signed and unsigned": ([-1], pa.int64(), [2**64 - 1], pa.uint64()),
    "large and fractions": ([EXACT + 1], pa.int64(), [0.5], pa.float64()),
    "large and nulls": ([EXACT, EXACT + 1], pa.int64(), [None], pa.int64()),
    "large and no type": ([EXACT, EXACT + 1], pa.int64(), [None], pa.null()),
    "lists and keys": ([[1]], pa.list_(pa.int64()), [1], pa.int64()),
    "structures": ([{"a": 1}], pa.struct({"a": pa.int64()}), [None], pa.null()),
    "lists of lists": ([[[1]]], pa.list_(pa.list_(pa.int64())), [None], pa.null()),
}


@pytest.mark.parametrize("case", sorted(FILES))
@pytest.mark.parametrize("swapped", [False, True])
def test_files_of_one_kind(tmp_path, case, swapped):
    first, first_type, second, second_type, expected = FILES[case]
    columns = [pa.array(first, first_type), pa.array(second, second_type)]
    if swapped:
        columns, expected = columns[::-1], expected[len(first) :] + expected[: len(first)]
    assert ids_of_files(tmp_path, *columns) == expected


@pytest.mark.parametrize("case", sorted(REFUSED_FILES))
@pytest.mark.parametrize("swapped", [False, True])
def test_files_of_two_kinds(tmp_path, case, swapped):
    first, first_type, second, second_type = REFUSED_FILES[case]
    columns = [pa.array(first, first_type), pa.array(second, second_type)]
    with pytest.raises(PopSamplerError, match="'item_id'"):
        ids_of_files(tmp_path, *(columns[::-1] if swapped else columns))
    assert bytes_below(tmp_path / "out") == {}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_narrow_floats_are_refused_where_integers_are_rounded(dtype):
    """As float32, 2**24 and 2**24 + 1 are equal, so two items would become one."""
    end = 2 ** (np.finfo(dtype).nmant + 1)

    def served(keys, requests):
        with tempfile.TemporaryDirectory() as folder:
            frame = pd.DataFrame({"item_id": np.array(keys)})
            workflow, _ = encode(frame, ["item_id"], folder, 1)
            return workflow.transform(pd.DataFrame({"item_id": requests}))["item_id"].tolist()

    narrow = np.array([end - 1, end - 2, 0.5], dtype)
    assert served([end - 2, end - 1, end - 1], narrow) == [3, 4, 2]
    assert served(narrow, [end - 1, end - 2, 0.5]) == [5, 4, 3]
    exact = rf"'item_id'.*2\*\*{np.finfo(dtype).nmant + 1}"
    infinite = f"'item_id'.*an infinite {dtype}"
    for lost, says in ([end], exact), ([end + 1], exact), ([np.inf], infinite):
        with pytest.raises(PopSamplerError, match=says):
            served(np.array(lost, dtype), [1])
        with pytest.raises(PopSamplerError, match="'item_id'"):
            served([end, end + 1], np.array(lost, dtype))


ALIKE = {
    "numbers": ([1, 2], [[5], [5.0], [5.0, None], [5, 2.5], [5, 2**70], [5, 1]]),
    "words": (["a"], [["x\0y"], ["x\0y", "x\0z"], ["x\0z", "x\0y"], ["x\0y", "\ud800"]]),
    "decimals": ([D(1)], [[D("2.5")], [D("2.50")], [D("2.5"), D(1)]]),
    "nothing": ([None], [[5], [5.0], [5, 0.5], [5.0, None]]),
}


@pytest.mark.parametrize("case", sorted(ALIKE))
def test_a_bucket_is_of_the_key_alone(out_path, case):
    """The bucket depends neither on neighbours nor on dtype, scale or conversions of pandas."""
    keys, frames = ALIKE[case]
    workflow, _ = encode(objects(keys), ["item_id"], out_path, 1, num_buckets=997)
    rows = [
        row
        for frame in frames
        for row in zip(frame, workflow.transform(objects(frame))["item_id"].tolist())
    ]
    assert len({found for key, found in rows if key == frames[0][0]}) == 1


def test_the_conversion_that_a_message_names_keeps_nulls(out_path):
    """`astype(str)` would make a key "None" of a null."""
    frame = pd.DataFrame({"a": pd.Series([1, None, "x"], dtype=object)})
    with pytest.raises(PopSamplerError, match=r"to one of them; astype\('string'\) keeps nulls"):
        encode(frame, ["a"], out_path, 1)
    _, ids = encode(frame.astype("string"), ["a"], out_path, 1)
    assert ids["a"].tolist() == [3, 1, 4]
