"""One key, one value, wherever it comes from."""

import numpy as np
import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.ops.keys import KeyGroup, all_null, canonical, cast_keys, elements, is_list


def test_groups_name_their_keys():
    assert KeyGroup("a", ("a",), joint=False).keys == ["a"]
    assert KeyGroup("a_b", ("a", "b"), joint=True).keys == ["a_b"]
    assert KeyGroup("a_b", ("a", "b"), joint=False).keys == ["a", "b"]


@pytest.mark.parametrize(
    "rows, expected",
    [([1, 2], False), (["ab", "c"], False), ([[1], [2]], True), ([None, [2]], True), ([], False)],
)
def test_lists_are_told_from_words(rows, expected):
    assert is_list(pd.Series(rows, dtype=object if rows and rows[0] is None else None)) is expected


def test_elements_of_lists():
    flat = elements(pd.Series([[1, 2], None, [], [3]], index=[4, 3, 2, 1], name="a"))
    assert flat.tolist() == [1, 2, 3] and flat.name == "a" and flat.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "series, dtype",
    [
        (pd.Series([1.0, 2.0]), "int64"),
        (pd.Series([1.0, 2.5]), "float64"),
        (pd.Series([1.0, None]), "float64"),
        (pd.Series([1, 2], dtype="Int32"), "int32"),
        (pd.Series(["a"], dtype="string"), "object"),
        (pd.Series([5, 6], dtype="category"), "int64"),
        (pd.Series([5, None], dtype="category"), "float64"),
    ],
)
def test_canonical_dtypes(series, dtype):
    assert canonical(series, "item_id").dtype == dtype


@pytest.mark.parametrize("value", [2.0**53, -(2.0**53), 1e300, np.inf])
def test_ambiguous_floats_are_refused(value):
    with pytest.raises(PopSamplerError, match=r"'item_id'.*2\*\*53"):
        canonical(pd.Series([1.0, value]), "item_id")
    assert canonical(pd.Series([1.0, np.sign(value) * (2.0**53 - 1)]), "item_id").dtype == "int64"


@pytest.mark.parametrize(
    "keys, dtype, exact",
    [
        ([1.5, 2.0], "int64", [False, True]),
        ([300, 3], "int8", [False, True]),
        ([-1, 3], "uint8", [False, True]),
        ([2**53 + 1, 3], "float64", [False, True]),
        ([2.0, np.nan], "int64", [True, False]),
    ],
)
def test_casts_say_what_they_hold(keys, dtype, exact):
    cast, found = cast_keys(pd.Series(keys), np.dtype(dtype), "item_id")
    assert cast.dtype == dtype and found.tolist() == exact


def test_casts_between_kinds_are_refused():
    with pytest.raises(PopSamplerError, match="'item_id'"):
        cast_keys(pd.Series(["a"]), np.dtype("int64"), "item_id")
    with pytest.raises(PopSamplerError, match="'item_id'"):
        cast_keys(pd.Series([1]), np.dtype(object), "item_id")


def test_a_row_is_null_where_all_its_keys_are():
    frame = pd.DataFrame({"a": [None, None, 1], "b": [None, "x", "y"]})
    assert all_null(frame).tolist() == [True, False, False]
