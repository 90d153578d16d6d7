"""Tests how rows become keys, and how partitions of a column are combined."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.ops.keys import columns
from merlin_popsampler.ops.keys.columns import (
    ColumnSummary,
    KeyGroup,
    all_null,
    can_be_null,
    distinct_objects,
    elements,
    is_list,
    key_columns,
    merged_rows,
    missing,
)


def test_groups_name_their_keys():
    assert KeyGroup("a", ("a",), joint=False).keys == ["a"]
    assert KeyGroup("a_b", ("a", "b"), joint=True).keys == ["a_b"]
    assert KeyGroup("a_b", ("a", "b"), joint=False).keys == ["a", "b"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([1, 2], False),
        (["ab", "c"], False),
        ([[1], [2, 3]], True),
        ([np.array([1, 2])], True),
        ([None, [2]], True),
        ([None, "a"], False),
        ([(1, 2)], False),
        ([None, None], None),
        ([float("nan")], None),
        ([], None),
    ],
)
def test_lists_are_distinguished_from_keys_and_from_nulls(rows, expected):
    series = pd.Series(rows, dtype=object if not rows or rows[0] is None else None)
    assert is_list(series) is expected
    known = True if expected is None else expected
    assert is_list(series, known) is known
    if expected is not None:
        with pytest.raises(PopSamplerError, match="where the fit or other rows have"):
            is_list(series, not expected)


@pytest.mark.parametrize("rows", [[[1], [2]], [np.array([1])]], ids=str)
def test_lists_of_one_may_be_asked_of_single_keys(rows):
    assert is_list(pd.Series(rows), of_column=False) is True


def test_elements_of_lists():
    rows = pd.Series([[1, 2], None, [], [3]], index=[4, 3, 2, 1], name="a")
    assert elements(rows, True).tolist() == [1, 2, 3]
    with pytest.raises(PopSamplerError, match="'a'"):
        elements(pd.Series([[1], "bc"], name="a"), True)


def test_elements_keep_what_they_are():
    """A joint array of two types would convert True to 1, and integers to floats."""
    mixed = pd.Series([np.array([2**53 + 1]), np.array([0.5]), np.array([True])])
    assert [type(key) for key in elements(mixed, True)] == [np.int64, np.float64, np.bool_]
    alike = pd.Series([np.array([1, 2], "int32"), np.array([3], "int32")])
    assert elements(alike, True).dtype == "int32"


def test_keys_of_several_columns():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [[1], []]}, index=[7, 7])
    keys = key_columns([frame["a"], frame["b"]], False)
    assert [part.tolist() for part in keys] == [[1, 2], ["x", "y"]]
    assert key_columns([frame["c"]], True)[0].tolist() == [1]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (pd.Series([1, 2]), False),
        (pd.Series([1, 2], dtype="uint8"), False),
        (pd.Series([True]), False),
        (pd.Series([1.0]), True),
        (pd.Series([1], dtype="Int64"), True),
        (pd.Series(["a", "b"], dtype=object), False),
        (pd.Series(["a", None], dtype=object), True),
        (pd.Series([None, "a"], dtype=object), True),
        (pd.Series([b"a"]), True),
        (pd.Series(["a"], dtype="category"), True),
        (pd.Series([1], dtype="datetime64[ns]"), True),
    ],
)
def test_what_can_be_null(rows, expected):
    assert can_be_null(rows) is expected


@pytest.mark.parametrize(
    "rows",
    [
        ["a", "", "nan", "\ud800"],
        ["a", None, "b", np.nan, pd.NaT],
        [None, "a"],
        [b"a", "a"],
        [2.5, "a"],
        [],
    ],
    ids=str,
)
def test_missing_keys(rows):
    keys = pd.Series(rows, range(7, 7 + len(rows)), object)
    assert missing(keys, "a").tolist() == keys.isna().tolist()


def test_a_row_is_null_where_all_its_keys_are():
    frame = pd.DataFrame({"a": [None, None, 1], "b": [None, "x", "y"]})
    assert all_null([frame["a"].isna(), frame["b"].isna()]).tolist() == [True, False, False]


def part(nulls=0, is_list=False, floating=False, large=False):
    return ColumnSummary(nulls, is_list, floating, large, frozenset(["int64"]))


def test_null_rows_are_keys_or_empty_lists_as_the_column_has_it():
    unknown, lists, keys = part(2, None), part(1, True), part(1)
    assert merged_rows([unknown, lists], "a") == part(1, True)
    assert merged_rows([keys, unknown], "a") == part(3, False)
    assert merged_rows([unknown, unknown], "a") == part(4, None)
    with pytest.raises(PopSamplerError, match="'a'.*lists and single keys"):
        merged_rows([lists, unknown, keys], "a")


def test_large_integers_and_nulls_are_refused_where_they_are_one_column():
    with pytest.raises(PopSamplerError, match=r"'a'.*2\*\*53"):
        merged_rows([part(large=True), part(1, floating=True)], "a")
    null_lists = part(1, None, floating=True)
    assert merged_rows([part(is_list=True, large=True), null_lists], "a").large


@pytest.mark.parametrize("step", [1, 2, -1])
def test_objects_stand_for_the_rows_that_hold_them(rng, step):
    """Equal strings may be several objects; numbers and nulls are objects too."""
    words = [f"word {number}" for number in range(40)] + [2**80, None, np.nan, 2.5]
    held = np.array(words + [f"word {number}" for number in range(3)], object)
    keys = pd.Series(held[rng.integers(0, len(held), 6000)], rng.permutation(6000), name="a")
    keys = keys[::step]
    (objects,), sizes, repeated = distinct_objects([keys])
    assert (objects.dtype, objects.name) == (object, "a")
    assert dict(zip(map(id, objects), sizes)) == Counter(map(id, keys))
    assert list(map(id, repeated(objects.to_numpy()))) == list(map(id, keys))


@pytest.mark.parametrize(
    ("limit", "number"),
    [("_GAPS", 0), ("_SLOTS", 0), ("_GAPS", 2**40)],
    ids=["too many gaps", "blocks of one slot", "by places in memory"],
)
def test_objects_come_in_the_order_of_their_rows(rng, monkeypatch, limit, number):
    """The order must not depend on addresses, which differ between processes.

    Bare objects are the smallest, and lie next to each other.
    """
    monkeypatch.setattr(columns, limit, number)
    held = sorted([object() for _ in range(500)] + [f"{word}" * word for word in range(99)], key=id)
    rows = held[::-1] + [held[place] for place in rng.integers(0, len(held), 3000)]
    (objects,), sizes, repeated = distinct_objects([pd.Series(rows, dtype=object)])
    assert list(map(id, objects)) == list(map(id, held[::-1]))
    assert sizes.tolist() == [rows.count(found) for found in held[::-1]]
    assert repeated(np.arange(len(held)))[: len(held)].tolist() == list(range(len(held)))
    assert list(map(id, repeated(objects.to_numpy()))) == list(map(id, rows))


@pytest.mark.parametrize(
    "places",
    [
        [2**16, 2**45, 2**45 + 2**16],
        [2**29, 2**29 + 2**42, 2**29 + 2**42 + 2**30],
        [2**45, 2**45 + 2**32, 2**45 + 16],
        [2**45 + 48 + 64 * place for place in range(300)],
        [2**45 + 16 * place * place for place in range(300)],
    ],
    ids=["small", "far apart", "one slot", "one size", "gaps"],
)
def test_each_address_has_a_number_of_its_own(rng, places):
    addresses = np.array(places, np.intp)[rng.integers(0, len(places), 5000)]
    numbers = columns._numbered(addresses)
    pairs = set(zip(addresses.tolist(), numbers.tolist()))
    assert len(pairs) == len(set(numbers.tolist())) == len(places)
    assert numbers.min() >= 0 and numbers.max() < columns._GAPS * len(addresses)


def test_one_object_of_all_rows():
    (objects,), sizes, repeated = distinct_objects([pd.Series(["a"] * 2000, dtype=object)])
    assert (objects.tolist(), sizes.tolist()) == (["a"], [2000])
    assert repeated(np.array([7])).tolist() == [7] * 2000


def test_only_what_many_rows_share_is_looked_at_once(rng):
    words = [f"word {number}" for number in range(30_000)]
    shared = pd.Series([words[row] for row in rng.zipf(1.2, 50_000) % len(words)], dtype=object)
    (objects,), _, repeated = distinct_objects([shared])
    assert len(objects) < 25_000 and (repeated(objects.to_numpy()) == shared).all()
    of_their_own = pd.Series([f"word {row % 9}" for row in range(50_000)], dtype=object)
    for keys in (shared[:999], shared.astype("category"), pd.Series(np.zeros(2000)), of_their_own):
        (found,), sizes, repeated = distinct_objects([keys])
        assert found is keys and sizes is None and repeated(keys) is keys
