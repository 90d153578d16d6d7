"""Compares the positions of keys in an index with dictionaries of Python values."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from merlin_popsampler.ops.keys import index as index_module
from merlin_popsampler.ops.keys import strings
from merlin_popsampler.ops.keys.index import KeyIndex, memory_of
from merlin_popsampler.ops.keys.strings import hash_of

DAY, NOON, OLD, NEW = dt.date(2020, 1, 1), *map(pd.Timestamp, ["2020-01-01 12", "1970", "2021"])
KINDS = {
    "int64": ([5, -7, 2**53, 2**53 + 1, 0], [6, 2**53 + 2], pa.int64()),
    "uint64": ([2**63, 2**64 - 1, 1], [2, 2**63 + 1], pa.uint64()),
    "float64": ([0.5, 0.25, -1.0, 0.0], [0.75], pa.float64()),
    "bool": ([True], [False], pa.bool_()),
    "words": (["a", "a\0b", "a\0c", "", "é", "z" * 99], ["a\0", "b"], pa.large_string()),
    "short words": (["a", "b"], ["c"], pa.string()),
    "words of 64 bytes": (
        ["0123456", "01234567", "0123456" * 9 + "f", "", "01234567é", "01234567\0"],
        ["0", "01234567\0\0", "01234568", "0123456" * 9 + "g", "0123456" * 9 + "fg"],
        pa.large_string(),
    ),
    "bytes": ([b"a", b"a\0", b"\xff"], [b"b"], pa.large_binary()),
    "dates": ([DAY, dt.date(1500, 1, 1)], [dt.date(2020, 1, 2)], pa.date32()),
    "datetimes": ([NOON, OLD], [NEW], pa.timestamp("ns")),
    "zoned": ([NOON.tz_localize("UTC")], [NEW.tz_localize("UTC")], pa.timestamp("ns", "UTC")),
    "times": ([dt.time(1), dt.time(2, 3)], [dt.time(4)], pa.time64("us")),
    "durations": ([dt.timedelta(1), dt.timedelta(0)], [dt.timedelta(2)], pa.duration("ns")),
    "decimals": ([Decimal("1.50"), Decimal("-2.00")], [Decimal("1.51")], pa.decimal128(5, 2)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_every_kind(kind, rng):
    known, unknown, arrow = KINDS[kind]
    index = KeyIndex(pa.table({"a": pa.array(known, arrow)}))
    asked = [known + unknown] * 3
    asked = [row[place] for row in asked for place in rng.permutation(len(row))]
    places = {key: place for place, key in enumerate(known)}
    series = pa.chunked_array([pa.array(asked, arrow)]).to_pandas()
    assert index.positions([series]).tolist() == [places.get(key, -1) for key in asked]
    for key in known + unknown:
        alone = pa.chunked_array([pa.array([key], arrow)]).to_pandas()
        assert index.positions([alone]).tolist() == [places.get(key, -1)]
    assert index.positions([series.iloc[:0]]).tolist() == []


@pytest.mark.parametrize("first", ["int64", "words", "decimals", "dates", "uint64"])
@pytest.mark.parametrize("second", ["words", "float64", "bytes", "zoned"])
def test_combinations_of_every_kind(first, second, rng):
    """In a combination a null is a key; a row with one unknown key is unknown."""
    parts, types = [], []
    kinds = (first, second, "short words")
    for kind in kinds:
        known, unknown, arrow = KINDS[kind]
        nulls = [] if kind.endswith("int64") else [None]  # pandas converts integers to floats
        parts.append([*nulls, *known, *unknown])
        types.append(arrow)
    pairs = [(a, b, c) for a in parts[0] for b in parts[1] for c in parts[2]]
    pairs = [pairs[place] for place in rng.permutation(len(pairs))]
    known = [row for row in pairs if not any(key in KINDS[k][1] for key, k in zip(row, kinds))]
    known = known[: 3 * len(known) // 4]

    def columns(rows):
        return [pa.array(part, arrow) for part, arrow in zip(zip(*rows), types)]

    index = KeyIndex(pa.table(columns(known), names=list("abc")))
    places = {row: place for place, row in enumerate(known)}
    asked = [pa.chunked_array([part]).to_pandas() for part in columns(pairs)]
    assert index.positions(asked).tolist() == [places.get(row, -1) for row in pairs]


def test_strings_with_equal_hashes(monkeypatch):
    """Equal hashes must not make strings equal."""
    monkeypatch.setattr(strings, "_MASKS", np.zeros(9, np.uint64))  # hash only the length
    monkeypatch.setattr(index_module, "hash_of", lambda key, most: hash_of(bytes(len(key)), most))
    apart = KeyIndex(pa.table({"a": pa.array(["a", "bb", "ccc"], pa.large_string())}))
    asked = ["b", "bb", "ddd", "a", "four"]
    assert apart.positions([pd.Series(asked)]).tolist() == [-1, 1, -1, 0, -1]
    assert [alone(apart, key) for key in asked] == [-1, 1, -1, 0, -1]
    together = KeyIndex(pa.table({"a": pa.array(["a", "b", "cc"], pa.large_string())}))
    asked = ["b", "dd", "cc", "a", "e"]
    assert together.positions([pd.Series(asked)]).tolist() == [1, -1, 2, 0, -1]
    assert [alone(together, key) for key in asked] == [1, -1, 2, 0, -1]


def alone(index, key):
    """Asks for the position of one key; -1 if there is none."""
    try:
        return index.position(key)
    except KeyError:
        return -1


@pytest.mark.parametrize("kind", ["int64", "words", "short words", "words of 64 bytes"])
def test_a_key_alone(kind):
    known, unknown, arrow = KINDS[kind]
    index = KeyIndex(pa.table({"a": pa.array(known, arrow)}))
    assert [alone(index, key) for key in known] == list(range(len(known)))
    outside = [2**63, -(2**64)] if kind == "int64" else ["", "é" * 50]
    assert {alone(index, key) for key in {*unknown, *outside} - {*known}} == {-1}


@pytest.mark.parametrize("size", [0, 1, 90_000, 700_000])
@pytest.mark.parametrize("kind", ["int64", "words", "dates", "pairs"])
def test_the_memory_of_an_index(kind, size):
    """The memory is at most the stated bound, and not far below it."""
    numbers = np.arange(size)
    columns = {
        "int64": [pa.array(numbers)],
        "words": [pa.array(numbers.astype(str).astype(object), pa.large_string())],
        "dates": [pa.array(numbers.astype(np.int32)).cast(pa.date32())],
        "pairs": [pa.array(numbers), pa.array(numbers)],
    }[kind]
    table = pa.table(columns, names=list("ab")[: len(columns)])
    index = KeyIndex(table)
    taken = 0
    for column in (*index._columns, *index._pairs):
        words = isinstance(column, index_module._StringIndex)
        taken += column._strings.nbytes if words else 0
        taken += (column._hashes if words else column).memory_usage(deep=True)
    assert taken <= memory_of(table) + 2000
    assert memory_of(table) <= 4 * taken
