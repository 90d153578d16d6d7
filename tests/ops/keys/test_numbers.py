"""Compares totals of numbers with counts in Python."""

import random
from collections import Counter

import numpy as np
import pytest

from merlin_popsampler.ops.keys import numbers
from merlin_popsampler.ops.keys.numbers import number_totals


def _drawn(low, high):
    source = random.Random(7)
    return [source.randint(low, high) for _ in range(500)]


SPREADS = {
    "one number": lambda low, high: [high],
    "all equal": lambda low, high: [low] * 50,
    "both ends": lambda low, high: [low, high, high, low, high],
    "small range": lambda low, high: _drawn(low, low + 100),
    "small range at the end": lambda low, high: _drawn(high - 100, high),
    "around the middle": lambda low, high: _drawn((low + high) // 2 - 50, (low + high) // 2 + 50),
    "whole range": _drawn,
    "far apart": lambda low, high: _drawn(low, low + 100) + _drawn(high - 100, high),
    "equal upper bits": lambda low, high: [high, *_drawn(low, min(low + 2**20, high))],
}
"""Returns integers of each kind between two limits."""


@pytest.fixture(params=[True, False], ids=["slow sort", "fast sort"])
def _sort(request, monkeypatch):
    monkeypatch.setattr(numbers, "_SLOW_SORT", request.param)


@pytest.mark.usefixtures("_sort")
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("dtype", "bhiqBHIQ")
def test_integers_are_counted_as_in_python(dtype, spread):
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    keys = SPREADS[spread](low, high)
    found, sizes = number_totals(np.array(keys, dtype), None)
    assert found.dtype == dtype and sizes.dtype == np.int64
    assert list(zip(found.tolist(), sizes.tolist())) == sorted(Counter(keys).items())


@pytest.mark.parametrize("dtype", ["f", "d"])
def test_floats_are_counted_as_in_python(dtype):
    keys = np.random.default_rng(7).integers(-50, 50, 500) / 8
    keys = np.append(keys, [np.inf, -np.inf, -np.inf]).astype(dtype)
    found, sizes = number_totals(keys, None)
    assert found.dtype == dtype
    assert list(zip(found.tolist(), sizes.tolist())) == sorted(Counter(keys.tolist()).items())


@pytest.mark.parametrize("dtype", ["q", "Q", "d"])
def test_sizes_of_equal_numbers_are_added(dtype):
    rng = np.random.default_rng(7)
    keys, sizes = rng.integers(0, 40, 200).astype(dtype), rng.integers(1, 2**40, 200)
    total = Counter()
    for key, size in zip(keys.tolist(), sizes.tolist()):
        total[key] += size
    found, sums = number_totals(keys, sizes)
    assert found.dtype == dtype
    assert list(zip(found.tolist(), sums.tolist())) == sorted(total.items())


@pytest.mark.usefixtures("_sort")
@pytest.mark.parametrize("sizes", [None, np.zeros(0, np.int64)])
def test_no_numbers_have_no_totals(sizes):
    found, sums = number_totals(np.zeros(0, np.int64), sizes)
    assert len(found) == len(sums) == 0
    assert sums.dtype == np.int64
