"""Tests totals, order and hash buckets of keys in Arrow arrays."""

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from merlin_popsampler.ops.keys import arrays
from merlin_popsampler.ops.keys.arrays import ascending, counting_buckets, hash_buckets, totals

STRINGS = ["", "a", "a\0", "a\0\0", "ab", "é", "\uffff", "\U0001f600", "x" * 80, "x" * 79 + "y"]


def test_buckets_are_a_function_of_the_key():
    numbers, words = pd.Series([5, 6, 5], [9, 4, 1]), pd.Series(["x", "y", "x"], [9, 4, 1])
    buckets = hash_buckets([numbers, words], 1000).tolist()
    assert buckets[0] == buckets[2] != buckets[1]
    moved = [part.reset_index(drop=True) for part in (numbers, words)]
    assert hash_buckets(moved, 1000).tolist() == buckets


@pytest.mark.parametrize(
    "keys",
    [
        [
            pa.array([3, 2**60, 7]),
            pa.array([3.0, 2.0**60, 7.0]),
            pa.array([3, 2**60, 7], pa.uint64()),
        ],
        [pa.array([True, False]), pa.array([1.0, 0.0])],
        [pa.array([Decimal("1.5"), Decimal(2)]), pa.array([Decimal("1.50"), Decimal("2.00")])],
        [
            pa.nulls(2),
            pa.nulls(2, pa.large_string()),
            pa.nulls(2, pa.float64()),
            pa.nulls(2, pa.date32()),
        ],
    ],
    ids=["numbers", "bools", "decimals", "nulls"],
)
def test_one_key_has_one_bucket_in_every_type(keys):
    other = pa.array(["x"] * len(keys[0]))
    first, *others = [counting_buckets([part, other], 1000).tolist() for part in keys]
    assert all(buckets == first for buckets in others)


@pytest.mark.parametrize(
    "keys",
    [
        np.arange(4000) * 1024,
        [f"item {number}" for number in range(4000)],
        [date(2000, 1, 1) + timedelta(number) for number in range(4000)],
        np.arange(4000) / 8,
    ],
    ids=["numbers", "words", "dates", "floats"],
)
def test_buckets_are_about_one_size(keys):
    sizes = np.bincount(counting_buckets([pa.array(keys)], 8), minlength=8)
    assert sizes.min() > 400 and sizes.max() < 600  # six standard deviations


@pytest.mark.parametrize("limit", [2**29, 0], ids=["groups", "dictionary"])
@pytest.mark.parametrize("encode", [str, str.encode])
def test_totals_of_strings(rng, monkeypatch, limit, encode):
    monkeypatch.setattr(arrays, "_GROUPED", limit)
    values = [encode(STRINGS[place]) for place in rng.integers(0, len(STRINGS), 3000)]
    keys = pa.array(values, pa.large_string() if encode is str else pa.large_binary())
    for given in (None, rng.integers(1, 2**40, 3000)):
        expected = Counter()
        for value, size in zip(values, [1] * 3000 if given is None else given.tolist()):
            expected[value] += size
        (found,), sizes = totals([keys], given)
        assert found.type == keys.type and sizes.dtype == "int64"
        assert len(found) == len(expected)
        assert dict(zip(found.to_pylist(), sizes.tolist())) == expected


def test_totals_of_a_part_and_of_nothing():
    keys = pa.array(["a", "b", "b", "c"], pa.large_string())
    (found,), sizes = totals([keys.slice(1, 2)], np.array([3, 4]))
    assert (found.to_pylist(), sizes.tolist()) == (["b"], [7])
    (found,), sizes = totals([keys.slice(0, 0)])
    assert (len(found), len(sizes)) == (0, 0)


@pytest.mark.parametrize("part", [2**20, 3])
@pytest.mark.parametrize("begin", ["", "item ", "a long beginning of all of them "])
def test_strings_ascend_by_code_point(rng, monkeypatch, part, begin):
    monkeypatch.setattr(arrays, "_PART", part)
    numbers = [f"{number}" for number in rng.permutation(2000)]
    digits = [f"same for eight bytes and more {number}" for number in range(30)]
    for rows in (STRINGS, numbers, digits + numbers, digits):
        values = [begin + row for row in rng.permutation(rows)]
        for kind, given in (
            (pa.large_string(), values),
            (pa.large_binary(), [value.encode() for value in values]),
        ):
            keys = pa.array(given, kind)
            for start in (0, 7):
                order = ascending([keys.slice(start)])
                assert [given[start:][row] for row in order] == sorted(given[start:])
