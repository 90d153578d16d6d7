"""Compares popularity from each form of counts with a sort in plain Python."""

import warnings
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from merlin_popsampler import FrequencyOrderError, PopSamplerError, check_order, popularity_from
from merlin_popsampler.contract.counts import counted_items
from merlin_popsampler.contract.metadata import PopularityMetadata

INTERACTIONS = [7, 7, 8, 8, 8, 3, 3, 3, 3, 9, 5, 5, 5]
COUNTS = Counter(INTERACTIONS)
RANKED = [3, 5, 8, 7, 9]
"""Ids by decreasing count; 5 and 8 both occur three times, and the smaller id comes first."""


def quietly(counts, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return popularity_from(counts, **arguments)


def pandas_forms():
    pd = pytest.importorskip("pandas")
    series = pd.Series(INTERACTIONS)
    counts = series.value_counts()
    yield "Series", counts
    yield "unsorted", series.value_counts(sort=False)
    yield "reset", counts.reset_index()
    yield "frame", counts.to_frame()
    yield "size", series.groupby(series).size()
    yield "category", series.astype("category").value_counts()
    yield "nullable", series.astype("Int64").value_counts()
    yield "narrow", series.astype("uint8").value_counts().astype("int16")
    yield "floats, as a column with nulls has them", series.astype("float64").value_counts()


def arrow_forms():
    pa = pytest.importorskip("pyarrow")
    compute = pytest.importorskip("pyarrow.compute")
    yield "value_counts", compute.value_counts(pa.array(INTERACTIONS))
    yield "table", pa.table({"id": list(COUNTS), "n": list(COUNTS.values())})
    yield "batch", pa.record_batch([list(COUNTS), list(COUNTS.values())], ["id", "n"])


def polars_forms():
    pl = pytest.importorskip("polars")
    yield "value_counts", pl.Series("id", INTERACTIONS).value_counts()
    yield "len", pl.DataFrame({"id": INTERACTIONS}).group_by("id").len()


def plain_forms():
    yield "Counter", COUNTS
    yield "pair", (list(COUNTS), list(COUNTS.values()))
    yield "unique", np.unique(INTERACTIONS, return_counts=True)
    yield "bincount", np.bincount(INTERACTIONS)
    yield "list", np.bincount(INTERACTIONS).tolist()
    yield "longer", np.bincount(INTERACTIONS, minlength=30).astype(np.uint32)


@pytest.mark.parametrize("forms", [plain_forms, pandas_forms, arrow_forms, polars_forms])
def test_every_form_gives_the_same_items(forms):
    expected = PopularityMetadata.from_counts(np.array([4, 3, 3, 2, 1]), 0, "counted", 256)
    for name, counts in forms():
        metadata, ids = quietly(counts)
        assert (name, ids.tolist(), ids.dtype) == (name, RANKED, np.int64)
        assert metadata == expected


@given(st.dictionaries(st.integers(0, 40) | st.integers(2**53 - 9, 2**53 - 1), st.integers(0, 5)))
def test_items_are_sorted_as_python_sorts_them(counts):
    expected = sorted((i for i in counts if counts[i]), key=lambda i: (-counts[i], i))
    if not expected:
        with pytest.raises(PopSamplerError, match="at least one item"):
            quietly(counts)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        items = counted_items(counts)
    assert items.ids.tolist() == expected
    assert items.counts.tolist() == [counts[i] for i in expected]
    consecutive = list(range(expected[0], expected[0] + len(expected)))
    assert items.in_order == (expected == consecutive)


def test_ids_in_order_keep_their_range():
    metadata, ids = popularity_from([0, 9, 5, 5, 1], reserved_ids=[0])
    assert (metadata.min_id, metadata.max_id, metadata.steps) == (1, 4, "1:9,2:10,4:1,5")
    assert ids.tolist() == [1, 2, 3, 4]
    assert check_order([0, 9, 5, 5, 1], reserved_ids=[0]) == metadata


def test_a_range_in_another_order_is_reported_by_its_first_wrong_id():
    with pytest.raises(FrequencyOrderError, match=r"id 1 \(5 .*\) follows id 3 \(7 "):
        check_order([0, 5, 5, 7], reserved_ids=[0])
    with pytest.raises(FrequencyOrderError, match=r"id 9 \(1 .*\) follows id 7 \(2 "):
        check_order(([7, 9], [2, 1]))


@pytest.mark.parametrize(
    ("counts", "reserved", "says"),
    [
        ([0, 3, 0, 2, 0], [], "3 ids have the count 0: they"),
        ([0, 3, 0, 2, 0], [0], "2 ids have the count 0: they"),
        ({1: 3, 3: 2}, [], "1 ids between 1 and 3 are missing: they"),
        (
            {1: 3, 3: 2, 9: 0},
            [2, 2],
            "1 ids have the count 0 and 5 ids between 1 and 9 are missing: they",
        ),
        ({1: 3, 3: 2}, [2], None),
        ({5: 3}, [], None),
    ],
)
def test_ids_that_are_never_drawn_are_counted_aloud(counts, reserved, says):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        popularity_from(counts, reserved_ids=reserved)
    if says is None:
        assert caught == []
        return
    [warning] = caught
    assert str(warning.message).startswith(says)
    assert warning.filename == __file__


@pytest.mark.parametrize(
    "counts",
    [
        {1: -1},
        {1: 0.5},
        {1: float("nan")},
        {1: 2**63},
        {-1: 4},
        {2**53: 4},
        {1.5: 4},
        {1: 2, None: 3},
        ([1, 1], [2, 3]),
        ([1, 2], [3]),
        [True, False],
        np.ones([2, 2], int),
        5,
        None,
        "abc",
    ],
)
def test_what_is_not_counts_is_refused(counts):
    with pytest.raises(PopSamplerError, match=r"Expected .*\. Received: "):
        quietly(counts)


def test_strings_are_sent_to_the_operator_that_encodes_them():
    pd = pytest.importorskip("pandas")
    for counts in (
        {"tea": 3},
        pd.Series(["tea", "jam"]).value_counts(),
        {b"tea": 1},
        {1: 2, "a": 1},
    ):
        with pytest.raises(PopSamplerError, match="FrequencyCategorify"):
            quietly(counts)


@pytest.mark.parametrize("ids", [[4, -1], [4.0, float("nan")], [4, None]])
def test_missing_keys_are_not_items(ids):
    with pytest.raises(PopSamplerError, match="-1 of pandas.factorize are missing keys"):
        quietly((ids, [3, 2]))
    with pytest.raises(PopSamplerError, match=r"Pass a NumPy array indexed by id"):
        quietly(([4, 5], ids))


def columns_of_ids():
    yield pytest.importorskip("pyarrow").array(INTERACTIONS)
    yield pytest.importorskip("pyarrow").chunked_array([INTERACTIONS])
    yield pytest.importorskip("polars").Series("id", INTERACTIONS)


def test_a_column_of_ids_is_not_taken_for_counts():
    for column in columns_of_ids():
        with pytest.raises(PopSamplerError, match=r"of 13 values\. Pass its value_counts\(\)"):
            quietly(column)
        assert quietly(column.value_counts())[1].tolist() == RANKED


def test_missing_keys_of_pandas_are_not_items():
    pd = pytest.importorskip("pandas")
    for counts in (
        pd.Series([4, 4, None], dtype="Int64").value_counts(dropna=False),
        {pd.NA: 3, 4: 2},
        {pd.NaT: 3, 4: 2},
    ):
        with pytest.raises(PopSamplerError, match="-1 of pandas.factorize are missing keys"):
            quietly(counts)


@pytest.mark.parametrize("reserved", [[-1], [0.5], ["padding"]])
def test_reserved_ids_that_are_not_ids_are_refused(reserved):
    with pytest.raises(PopSamplerError, match="reserved_ids"):
        quietly({1: 2}, reserved_ids=reserved)


def test_a_frame_of_another_shape_is_refused():
    pd = pytest.importorskip("pandas")
    for frame in (pd.DataFrame(), pd.DataFrame({"a": [1], "b": [1], "c": [1]})):
        with pytest.raises(PopSamplerError, match="Select the column of ids"):
            quietly(frame)


def test_two_counts_of_each_id_are_not_taken_for_ids_and_counts():
    """`groupby("id").count()` of three columns has the ids in its index, and two columns."""
    pd = pytest.importorskip("pandas")
    sales = pd.DataFrame({"id": [3, 4, 4], "user": [1, 2, 3], "day": [1, 1, 1]})
    both = sales.groupby("id").count()
    with pytest.raises(PopSamplerError, match="two columns, and an index 'id'"):
        quietly(both)
    with pytest.raises(PopSamplerError, match=r"two columns, and an index \['id', 'x'\]"):
        quietly(sales.assign(x=[0, 1, 2]).groupby(["id", "x"]).sum())
    assert quietly(both[["user"]])[1].tolist() == [4, 3]
    assert quietly(both["user"])[1].tolist() == [4, 3]
    listed = both["user"].reset_index().set_index(pd.Index(["x", "y"], name="row"))
    with pytest.raises(PopSamplerError, match=r"or drop the index: reset_index\(drop=True\)"):
        quietly(listed)
    assert quietly(listed.reset_index(drop=True))[1].tolist() == [4, 3]


def test_a_lazy_frame_is_collected_first():
    pl = pytest.importorskip("polars")
    lazy = pl.LazyFrame({"id": [3, 4], "n": [1, 9]})
    with pytest.raises(PopSamplerError, match=r"not computed yet. Pass its collect\(\)"):
        quietly(lazy)
    assert quietly(lazy.collect())[1].tolist() == [4, 3]


@pytest.mark.parametrize("names", [[], ["id"], ["id", "count", "price"]])
def test_an_arrow_table_of_other_columns_is_refused(names):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({name: [1, 2] for name in names})
    with pytest.raises(PopSamplerError, match=f"Table with {len(names)} columns"):
        popularity_from(table)


@pytest.mark.parametrize("reserved_ids", [0, None, np.array(0)])
def test_reserved_ids_are_a_list(reserved_ids):
    for function in (popularity_from, check_order):
        with pytest.raises(PopSamplerError, match=r"reserved_ids as a list.*Pass \[0\]"):
            function([1, 9, 5], reserved_ids=reserved_ids)
