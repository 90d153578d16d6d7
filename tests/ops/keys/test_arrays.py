"""Tests hash buckets of keys in Arrow arrays."""

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from merlin_popsampler.ops.keys.arrays import counting_buckets, hash_buckets


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
