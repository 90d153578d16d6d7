"""Compares the order of keys, sorted in one task or by buckets, with Python's own."""

from collections import Counter
from decimal import Decimal

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.ops import ordering
from merlin_popsampler.ops.counting import Counts, count_keys
from merlin_popsampler.ops.keys.columns import KeyGroup
from merlin_popsampler.ops.ordering import by_frequency, ranked

ITEM = KeyGroup("a", ("a",), False)


def rows_of(counts):
    return list(zip(*(part.to_pylist() for part in counts.keys), counts.sizes.tolist()))


def ordered(parts, group, split_out):
    """Counts and sorts partitions of rows, and returns the sorted ranges."""
    frames = [pd.DataFrame(part, columns=group.columns, dtype=object) for part in parts]
    ddf = dd.from_delayed([dask.delayed(frame) for frame in frames], meta=frames[0])
    buckets = count_keys(ddf, [group], {group.name: 8}, {group.name: split_out})[group.name]
    cuts, ranges = dask.compute(*ranked(buckets, group), scheduler="synchronous")
    return cuts, ranges


def expected(rows):
    """Returns (keys..., size) by (size descending, keys ascending), nulls first."""
    counts = Counter(rows)
    return sorted(
        ((*row, size) for row, size in counts.items()),
        key=lambda row: (-row[-1], [(key is not None, key) for key in row[:-1]]),
    )


def test_combinations_with_nulls_first():
    keys = [pa.array([2.0, 1.0, None]), pa.array(["x", None, "x"], pa.large_string())]
    found = by_frequency(Counts(keys, np.array([1, 1, 1]), (None, None), {}))
    assert rows_of(found) == [(None, "x", 1), (1.0, None, 1), (2.0, "x", 1)]


def test_strings_are_ordered_by_all_of_their_code_points():
    words = ["x\0b", "x\0a", "x", "\U0001f600", "\uffff", "é", "Z", "a", ""]
    found = by_frequency(Counts([pa.array(words, pa.large_string())], np.ones(9, int), (None,), {}))
    assert rows_of(found) == [(word, 1) for word in sorted(words)]


def test_sizes_descend_beyond_16_bits(rng):
    few = [0, 1, 2, 2**16 - 2, 2**16 - 1, 2**16, 2**16 + 1, 2**40]
    sizes = np.array(few)[rng.integers(0, len(few), 5000)]
    found = by_frequency(Counts([pa.array(np.arange(5000))], sizes, (None,), {}))
    expected = sorted(enumerate(sizes.tolist()), key=lambda row: (-row[1], row[0]))
    assert rows_of(found) == expected


KEYS = {
    "numbers": lambda number: number * 7 - 50,
    "halves": lambda number: number / 2,
    "large": lambda number: 2**63 + number,
    "words": lambda number: f"item \0{number}",
    "bytes": lambda number: f"{number}".encode(),
    "bools": lambda number: number % 2 == 0,
    "days": lambda number: pd.Timestamp("2020-01-01") + pd.Timedelta(days=number),
    "zoned": lambda number: pd.Timestamp(number, tz="UTC"),
    "dates": lambda number: (pd.Timestamp("2020-01-01") + pd.Timedelta(days=number)).date(),
    "times": lambda number: pd.Timestamp(number * 10**9).time(),
    "durations": lambda number: pd.Timedelta(number - 40, "ns"),
    "decimals": lambda number: Decimal(number) / [1, 4, 8][number % 3],
}


@pytest.mark.parametrize("split_out", [1, 2, 5])
@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_kind_in_any_number_of_buckets(kind, split_out, rng):
    """Many keys have one size, so their values determine their range."""
    parts = [[(KEYS[kind](int(n)),) for n in rng.zipf(1.2, 150) % 90] for _ in range(3)]
    _, ranges = ordered(parts, ITEM, split_out)
    assert len(ranges) == split_out
    assert len({str(part.keys[0].type) for part in ranges}) == 1
    found = [row for part in ranges for row in rows_of(part)]
    assert found == expected([row for part in parts for row in part])


@pytest.mark.parametrize("split_out", [1, 3])
def test_combinations_in_any_number_of_buckets(split_out, rng):
    """Parts of nulls, of integers and of floats: all ranges get the widest dtype."""
    group = KeyGroup("a_b", ("a", "b"), False)
    left, right = [None, 1, 2.5, 3], [None, "x", "x\0", "y"]
    parts = [[(None, "x"), (None, "z")], [(1, "x"), (3, "y")]]
    parts += [[(left[i], right[j]) for i, j in rng.integers(0, 4, (40, 2)) if i or j]]
    cuts, ranges = ordered(parts, group, split_out)
    found = [row for part in ranges for row in rows_of(part)]
    assert found == expected([row for part in parts for row in part])
    assert [kind.dtype for kind in cuts.kinds] == ["float64", "object"]
    assert cuts.seen["a"].nulls == 0


@pytest.mark.parametrize("keys", [1, 40, 20_000])
def test_no_range_is_much_longer_than_its_share(keys, rng):
    numbers = rng.permutation(keys)
    parts = [[(int(n),) for n in part] for part in np.array_split(numbers, 3)]
    _, ranges = ordered(parts, ITEM, 8)
    sizes = [len(part) for part in ranges]
    assert sum(sizes) == keys
    assert max(sizes) <= max(2, 1.1 * keys / 8)


def test_tasks_hold_few_keys(rng, monkeypatch):
    """A task sorts one bucket or one range."""
    held = []
    sort = ordering.by_frequency
    monkeypatch.setattr(
        ordering, "by_frequency", lambda counts: held.append(len(counts)) or sort(counts)
    )
    parts = [[(int(n),) for n in part] for part in np.array_split(rng.permutation(8000), 4)]
    ordered(parts, ITEM, 8)
    assert len(held) == 16 and max(held) < 1.3 * 8000 / 8


def test_no_keys_at_all():
    cuts, ranges = ordered([[(None,)], [(None,), (None,)]], ITEM, 4)
    assert [len(part) for part in ranges] == [0, 0, 0, 0]
    assert (cuts.kinds, cuts.seen["a"].nulls) == ((None,), 3)


def test_kinds_that_meet_only_in_the_order_are_refused():
    """Each bucket holds keys of one type only."""
    with pytest.raises(PopSamplerError, match="'a'.*number and string"):
        ordered([[(1,)], [("x",)]], ITEM, 64)
