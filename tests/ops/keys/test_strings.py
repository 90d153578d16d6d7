"""Compares totals and the order of strings in Arrow arrays with Python's."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from merlin_popsampler.ops.keys import strings
from merlin_popsampler.ops.keys.arrays import ascending, totals
from merlin_popsampler.ops.keys.strings import one_chunk

STRINGS = ["", "a", "a\0", "a\0\0", "ab", "é", "\uffff", "\U0001f600", "x" * 80, "x" * 79 + "y"]
LONG = ["x" * 300 + end for end in "abcde"]
NUMBERS = [f"item {number}" for number in range(700)]
KINDS = pytest.mark.parametrize("kind", [pa.large_string(), pa.large_binary()], ids=str)


def drawn(rng, values, rows, kind):
    encode = str if kind == pa.large_string() else str.encode
    return pa.array([encode(values[place]) for place in rng.integers(0, len(values), rows)], kind)


def expected(parts, sizes):
    counts = Counter()
    for part, own in zip(parts, sizes):
        for key, size in zip(part.to_pylist(), own.tolist()):
            counts[key] += size
    return counts


def by_key(keys, sizes):
    assert sizes.dtype == "int64" and len(set(keys.to_pylist())) == len(keys) == len(sizes)
    return dict(zip(keys.to_pylist(), sizes.tolist()))


@KINDS
@pytest.mark.parametrize("limit", [2**29, 0], ids=["grouped", "ungrouped"])
@pytest.mark.parametrize("values", [STRINGS + LONG, NUMBERS], ids=["strings", "numbers"])
def test_totals_of_rows(rng, monkeypatch, kind, limit, values):
    monkeypatch.setattr(strings, "_GROUPED", limit)
    keys = drawn(rng, values, 3000, kind)
    (found,), sizes = totals([[keys]])
    assert found.type == kind
    assert by_key(found, sizes) == expected([keys], [np.ones(3000, np.int64)])


@KINDS
@pytest.mark.parametrize("length", [2**15, 40, 1], ids=["one range", "ranges", "one key a range"])
@pytest.mark.parametrize("values", [STRINGS + LONG, NUMBERS], ids=["strings", "numbers"])
def test_sums_of_totals(rng, monkeypatch, kind, length, values):
    """Sums of sums are the totals of all rows, whether the parts are sorted by hash or not."""
    monkeypatch.setattr(strings, "_RANGE", length)
    rows = [drawn(rng, values, number, kind) for number in (500, 0, 1, 900)]
    counted = [totals([[keys]]) for keys in rows if len(keys)]
    parts, sizes = [keys for (keys,), _ in counted], [counts for _, counts in counted]
    (part,), counts = totals([parts], sizes)
    assert [chunk.type for chunk in part.chunks] == [kind] * part.num_chunks
    other = [rng.integers(1, 2**40, len(keys)) for keys in rows]
    (found,), total = totals([[part, *rows]], [counts, *other])
    ones = [np.ones(len(keys), np.int64) for keys in rows]
    assert by_key(found, total) == expected(rows + rows, ones + other)


def test_parts_that_were_summed_stay_sorted(rng, monkeypatch):
    """Else each sum would sort all of its keys."""
    monkeypatch.setattr(strings, "_RANGE", 40)
    parts = [drawn(rng, NUMBERS + LONG, 500, pa.large_string()) for _ in range(3)]
    counted = [totals([[keys]]) for keys in parts]
    (part,), counts = totals([[keys for (keys,), _ in counted]], [counts for _, counts in counted])
    for keys, sizes in [((part,), counts), *counted]:
        assert strings._by_hash(keys[0], sizes)[0] is keys[0]


@pytest.mark.parametrize("length", [2**15, 40])
@pytest.mark.parametrize("hashed", ["nothing", "length and sixteen bytes"])
def test_other_strings_of_one_hash(rng, monkeypatch, length, hashed):
    monkeypatch.setattr(strings, "_RANGE", length)
    if hashed == "nothing":
        monkeypatch.setattr(strings, "_FACTOR", np.uint64(0))
    monkeypatch.setattr(strings, "_HASHED", 16)
    values = STRINGS + LONG + NUMBERS + [f"the same begin {number}" for number in range(300)]
    rows = [drawn(rng, values, 900, pa.large_string()) for _ in range(3)]
    sizes = [rng.integers(1, 2**40, 900) for _ in rows]
    (part,), counts = totals([rows], sizes)
    assert by_key(part, counts) == expected(rows, sizes)
    (found,), total = totals([[part, *rows]], [counts, *sizes])
    assert by_key(found, total) == expected(rows * 2, sizes * 2)


def test_totals_of_a_part_and_of_nothing():
    keys = pa.array(["a", "b", "b", "c"], pa.large_string())
    (found,), sizes = totals([[keys.slice(1, 2)]], [np.array([3, 4])])
    assert (found.to_pylist(), sizes.tolist()) == (["b"], [7])
    (found,), sizes = totals([[keys.slice(0, 0)]])
    assert (len(found), len(sizes)) == (0, 0)
    (found,), sizes = totals([[keys.slice(0, 0)] * 2], [np.zeros(0, np.int64)] * 2)
    assert (len(found), len(sizes)) == (0, 0)


@pytest.mark.parametrize("part", [2**14, 3])
@pytest.mark.parametrize("begin", ["", "item ", "a long beginning of all of them "])
def test_strings_ascend_by_code_point(rng, monkeypatch, part, begin):
    monkeypatch.setattr(strings, "_CHUNK", part)
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


@KINDS
@pytest.mark.parametrize("part", [2**14, 3])
def test_hashes_depend_on_the_string_alone(monkeypatch, kind, part):
    keys = drawn(np.random.default_rng(17), STRINGS + LONG, 200, kind).cast(pa.large_binary())
    alone = [strings.hashes(keys.slice(row, 1), 99)[0] for row in range(len(keys))]
    monkeypatch.setattr(strings, "_CHUNK", part)
    assert strings.hashes(keys, 99).tolist() == alone
    assert len(set(alone)) == len(STRINGS) + 1  # of the long ones, one hash


@pytest.mark.parametrize("most", [0, 7, 8, 9, 99, 256])
def test_the_hash_of_one_string(rng, most):
    keys = [rng.bytes(length) for length in range(300)]
    together = strings.hashes(pa.array(keys, pa.large_binary()), most).tolist()
    assert [strings.hash_of(key, most) for key in keys] == together


def test_one_chunk():
    first, second = pa.array(["a", "b"]), pa.array(["c"])
    assert one_chunk(first) is first
    assert one_chunk(pa.chunked_array([first, second]), first).to_pylist() == list("abcab")
    nothing = one_chunk(pa.chunked_array([], pa.string()))
    assert (nothing.type, len(nothing)) == (pa.string(), 0)
