"""Tests that equal keys of any source become one value."""

import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.ops.keys.arrays import to_arrow
from merlin_popsampler.ops.keys.kinds import (
    KeyType,
    canonical,
    cast,
    is_arrow_string,
    merged,
    widened,
)

DAY = datetime.datetime.fromisoformat("2020-01-02")


def number(dtype):
    return KeyType("number", dtype)


@pytest.mark.parametrize(
    ("keys", "family", "dtype"),
    [
        (pd.Series([1.0, 2.0]), "number", "int64"),
        (pd.Series([1.0, 2.5]), "number", "float64"),
        (pd.Series([1, 2], dtype="int8"), "number", "int64"),
        (pd.Series([1, 2], dtype="uint64"), "number", "int64"),
        (pd.Series([1, 2**63], dtype="uint64"), "number", "uint64"),
        (pd.Series([1, 2.0], dtype=object), "number", "int64"),
        (pd.Series([1, 2], dtype="Int32"), "number", "int64"),
        (pd.Series([5, 6], dtype="category"), "number", "int64"),
        (pd.Series(["a"], dtype="string"), "string", "object"),
        (pd.Series(["a"], dtype="category"), "string", "object"),
        (pd.Series([True], dtype=object), "bool", "bool"),
        (pd.Series([True], dtype="boolean"), "bool", "bool"),
        (pd.Series([b"a"]), "bytes", "object"),
        (pd.Series([DAY.date()]), "date", "object"),
        (pd.Series([DAY], dtype=object), "datetime", "datetime64[ns]"),
        (
            pd.Series([pd.Timestamp(DAY, tz="Asia/Tokyo")]),
            "datetime with zone",
            "datetime64[ns, UTC]",
        ),
    ],
)
def test_canonical_keys(keys, family, dtype):
    values, kind = canonical(keys, "item_id")
    assert kind == KeyType(family, dtype) and list(values) == list(keys)
    assert str(values.dtype) == dtype or (family == "string" and is_arrow_string(values.dtype))


@pytest.mark.parametrize("storage", ["string[pyarrow]", "large_string[pyarrow]"])
def test_strings_in_arrow_make_no_python_objects(storage):
    """Neither counting nor lookups create Python objects."""
    keys = pd.Series(pd.array(["b", "a\0", None, "b"], storage))
    known = keys[keys.notna()]
    values, kind = canonical(known, "item_id")
    assert values is known and kind == KeyType("string", "object")
    values, exact = cast(known, kind, "item_id")
    assert values is known and exact is None
    found = to_arrow(pd.concat([known, known.iloc[1:]]), kind, "item_id")
    assert found.equals(pa.array(["b", "a\0", "b", "a\0", "b"], pa.large_string()))


def test_an_empty_column_has_no_type():
    assert canonical(pd.Series([], dtype=float), "item_id")[1] is None
    assert merged([None, None], "item_id") is None
    assert merged([None, number("int64")], "item_id") == number("int64")


@pytest.mark.parametrize("value", [2.0**53, -(2.0**53), 1e300])
@pytest.mark.parametrize("dtype", [float, object])
def test_ambiguous_floats_are_refused(value, dtype):
    with pytest.raises(PopSamplerError, match=r"'item_id'.*2\*\*53"):
        canonical(pd.Series([1.0, value], dtype=dtype), "item_id")
    fine = pd.Series([1.0, np.sign(value) * (2.0**53 - 1)], dtype=dtype)
    assert canonical(fine, "item_id")[1] == number("int64")


def test_the_narrowest_float_of_a_column_sets_the_limit():
    keys = pd.Series([np.float32(2**24), 0.5], dtype=object)
    with pytest.raises(PopSamplerError, match=r"'item_id'.*2\*\*24"):
        canonical(keys, "item_id")
    assert canonical(pd.Series([2.0**24, 0.5], dtype=object), "item_id")[1] == number("float64")


@pytest.mark.parametrize(
    ("keys", "dtype", "exact"),
    [
        (pd.Series([1.5, 2.0]), "int64", [False, True]),
        (pd.Series([2**64 - 1, 3], dtype="uint64"), "int64", [False, True]),
        (pd.Series([-1, 3]), "uint64", [False, True]),
        (pd.Series([-1.5, 3.0]), "uint64", [False, True]),
        (pd.Series([2**53 + 1, 3]), "float64", [False, True]),
        (pd.Series([2**70, 3, 2.5], dtype=object), "int64", [False, True, False]),
        (pd.Series([-(2**70), 2**63, -1], dtype=object), "uint64", [False, True, False]),
        (pd.Series([2**70, 0.5], dtype=object), "float64", [False, True]),
    ],
)
def test_casts_say_what_they_hold(keys, dtype, exact):
    values, found = cast(keys, number(dtype), "item_id")
    assert values.dtype == dtype and found.tolist() == exact
    assert values[found].tolist() == keys[found].tolist()


def test_casts_between_families_are_refused():
    for keys, kind in [
        ("a", number("int64")),
        (1, KeyType("string", "object")),
        (True, number("int64")),
    ]:
        with pytest.raises(PopSamplerError, match="'item_id'.*vocabulary's type"):
            cast(pd.Series([keys]), kind, "item_id")
    with pytest.raises(PopSamplerError, match="'item_id'.*number and string"):
        merged([number("int64"), KeyType("string", "object")], "item_id")


def test_the_wider_dtype_holds_both():
    kinds = [number(dtype) for dtype in ("int64", "float64", "uint64")]
    assert merged(kinds, "item_id") == merged(kinds[::-1], "item_id") == number("float64")
    assert merged([number("int64"), number("uint64")], "item_id") == number("uint64")
    assert widened(pd.Series([1, 2]), number("float64"), "item_id").dtype == "float64"
    for key, dtype in [(2**53 + 1, "float64"), (-1, "uint64")]:
        with pytest.raises(PopSamplerError, match=f"'item_id'.*{key}"):
            widened(pd.Series([1, key]), number(dtype), "item_id")


def test_a_kind_with_nulls_beside_it():
    assert not number("int64").holds_nulls and number("int64").with_nulls() == number("float64")
    assert KeyType("bool", "bool").with_nulls() == KeyType("bool", "float64")
    word = KeyType("string", "object")
    assert word.holds_nulls and word.with_nulls() == word
