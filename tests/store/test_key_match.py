"""Tests matching of keys between fits: a combination matches only as a whole."""

import decimal
import itertools

import numpy as np
import pyarrow as pa
import pytest

from merlin_popsampler.store.key_match import positions


def table(rows):
    return pa.table([pa.array(column) for column in zip(*rows)], ["a", "b", "c"])


def test_combinations_with_an_unknown_part_are_unknown():
    """Positions in columns are combined: that of an unknown part must not shift the rest."""
    known = [("a", 1, "x"), ("a", 2, "y"), ("b", 1, "y"), ("b", None, "y"), ("c", 2, "x")]
    asked = list(itertools.product("abcd", [1, 2, 3, None], "xyz"))
    expected = [known.index(row) if row in known else -1 for row in asked]
    assert positions(table(asked), table(known), "keys").tolist() == expected


@pytest.mark.parametrize("size", [0, 1, 1000, 600_000])  # with one hash table, and with eight
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint64"])
def test_integers_are_found_in_any_number_of_hash_tables(size, dtype):
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(size)
    values = rng.integers(limits.min, limits.max, 2 * size, dtype=dtype, endpoint=True)
    values = np.unique(np.concatenate([values, np.array([limits.min, limits.max, 0, 1], dtype)]))
    rng.shuffle(values)
    known, asked = values[: size + 2], values[size // 2 :][::-1]
    place = {value: index for index, value in enumerate(known.tolist())}
    found = positions(pa.table([asked], ["key"]), pa.table([known], ["key"]), "key")
    assert found.dtype == np.int64
    assert found.tolist() == [place.get(value, -1) for value in asked.tolist()]


_FLOATS = pa.array([2.5, 7.0, None, -1.0])


@pytest.mark.parametrize("combined", [False, True])  # nulls turn integers of one fit into floats
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_FLOATS, pa.array([2**53, 2**53 + 1, -(2**62), 7, 8])),
        (_FLOATS, pa.array([2**64 - 1, 2**64 - 2, 7], pa.uint64())),
        (pa.array([decimal.Decimal("1e-40")]), pa.array([decimal.Decimal(10**50)])),
    ],
)
def test_keys_that_no_type_holds_together_are_compared_by_value(one, other, combined):
    for keys, distinct in ((one, other), (other, one)):
        place = {value: index for index, value in enumerate(distinct.to_pylist())}
        tables = (
            pa.table([["x"] * len(part), part][not combined :], ["a", "b"][not combined :])
            for part in (keys, distinct)
        )
        expected = [place.get(value, -1) for value in keys.to_pylist()]
        assert positions(*tables, "key").tolist() == expected
