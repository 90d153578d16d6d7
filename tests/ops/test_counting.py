"""Tests counting in one pass, in any number of partitions."""

from collections import Counter
from decimal import Decimal

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.ops.counting import add, count_keys
from merlin_popsampler.ops.keys.columns import KeyGroup

pytestmark = pytest.mark.usefixtures("sharing")


def counted(frame, group, npartitions, split_every=3, split_out=1):
    ddf = dd.from_pandas(frame, npartitions=npartitions, sort=False)
    delayed = count_keys(ddf, [group], {group.name: split_every}, {group.name: split_out})
    buckets = dask.compute(delayed, scheduler="synchronous")[0][group.name]
    assert len(buckets) == split_out
    return buckets[0] if split_out == 1 else buckets


def sizes(counts):
    """Returns the size of each key or combination, and checks that each occurs once."""
    columns = [part.to_pylist() for part in counts.keys]
    rows = columns[0] if len(columns) == 1 else list(zip(*columns))
    assert len(set(rows)) == len(rows)
    return dict(zip(rows, counts.sizes.tolist()))


@pytest.mark.parametrize("npartitions", [1, 2, 7, 20])
@pytest.mark.parametrize("split_every", [1, 2, 8])
def test_counts_and_nulls(rng, npartitions, split_every):
    keys = rng.integers(0, 30, 200).astype(float)
    keys[::9] = np.nan
    found = counted(
        pd.DataFrame({"a": keys}), KeyGroup("a", ("a",), False), npartitions, split_every
    )
    assert found.nulls == 23
    assert sizes(found) == Counter(keys[~np.isnan(keys)])
    assert found.keys[0].type == "int64"


@pytest.mark.parametrize("npartitions", [1, 4])
def test_equal_strings_are_one_key_even_as_distinct_objects(rng, npartitions):
    held = [f"word {number % 30}" for number in range(90)] + [None, np.nan]
    keys = [held[place] for place in rng.integers(0, len(held), 3000)]
    words = [key for key in keys if isinstance(key, str)]
    found = counted(pd.DataFrame({"a": keys}), KeyGroup("a", ("a",), False), npartitions)
    assert found.nulls == len(keys) - len(words) > 0
    assert sizes(found) == Counter(words)


@pytest.mark.parametrize("converts", [True, False])
def test_lists_that_dask_converted_are_refused(monkeypatch, converts):
    """Dask does so from 2023.7.1 on, unless `compat.enable()` was called."""
    monkeypatch.setattr("dask.dataframe.utils.pyarrow_strings_enabled", lambda: converts)
    group = KeyGroup("a", ("a",), False)
    lists = pd.DataFrame({"a": pd.Series([None, "['x', 'y']", "['x']"], dtype="string")})
    words = pd.DataFrame({"a": pd.Series(["x", None, "[y]"], dtype="string")})
    assert sizes(counted(words, group, 1)) == {"x": 1, "[y]": 1}
    assert sizes(counted(words.iloc[:0], group, 1)) == {}
    titles = pd.DataFrame({"a": pd.Series(["[REC]", "[4K] Alien [UK]", "[e]"], dtype="string")})
    for first in range(3):
        assert len(sizes(counted(titles.iloc[first:], group, 1))) == 3 - first
    if converts:
        with pytest.raises(PopSamplerError, match=r"'a'.*string \"\['x', 'y'\]\".*enable\(\)"):
            counted(lists, group, 1)
    else:
        assert len(sizes(counted(lists, group, 1))) == 2


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1, -2],
        ["it's", 'a "b"', "\\"],
        [1.5, float("nan"), None],
        [b"x", True],
        [np.int64(7), np.float32(1e-9)],
        np.arange(3000),
        np.array(["a", "b"]),
        np.array([1.0, -2.5e30]),
    ],
    ids=str,
)
def test_text_of_lists_is_found(values, monkeypatch):
    monkeypatch.setattr("dask.dataframe.utils.pyarrow_strings_enabled", lambda: True)
    frame = pd.DataFrame({"a": pd.Series([str(values)], dtype="string")})
    with pytest.raises(PopSamplerError, match="expected lists"):
        counted(frame, KeyGroup("a", ("a",), False), 1)


def test_pooled_columns():
    frame = pd.DataFrame({"a": [1, 2, 2], "b": [2.0, None, 7.0]})
    found = counted(frame, KeyGroup("a_b", ("a", "b"), True), 2)
    assert found.nulls == 1
    assert sizes(found) == {1: 1, 2: 3, 7: 1}


def test_combinations_keep_partial_nulls():
    frame = pd.DataFrame({"a": [1, 1, None, None], "b": ["x", "x", "x", None]})
    found = counted(frame, KeyGroup("a_b", ("a", "b"), False), 2)
    assert found.nulls == 1 and sizes(found) == {(1, "x"): 2, (None, "x"): 1}


@pytest.mark.parametrize("npartitions", [1, 2, 5])
def test_combinations_are_counted_whole(npartitions):
    """Cases: nulls, strings with a NUL, numbers of any dtype, in any partition."""
    left = [1, None, 1.0, None, 2.5, True] * 2
    right = ["a\0b", "a\0b", "a\0c", "a", None, None] * 2
    left[5] = left[11] = 3
    found = counted(
        pd.DataFrame({"a": pd.Series(left, dtype=object), "b": right}),
        KeyGroup("a_b", ("a", "b"), False),
        npartitions,
    )
    assert sizes(found) == Counter(zip(left, right))


def test_strings_are_counted_with_all_characters():
    """pandas' own hash table ends strings at a NUL."""
    keys = ["a\0b", "a\0c", "a", "a\0", "z", "z"]
    for npartitions in (1, 3):
        found = counted(pd.DataFrame({"a": keys}), KeyGroup("a", ("a",), False), npartitions)
        assert sizes(found) == Counter(keys)


@pytest.mark.parametrize("name", ["size", "_popsampler_size", "index", "self", "0"])
def test_columns_of_any_name(name):
    found = counted(pd.DataFrame({name: [5, 5, 6]}), KeyGroup(name, (name,), False), 2)
    assert sizes(found) == {5: 2, 6: 1}


def test_one_pass_for_several_groups():
    """Each partition is read once for all vocabularies together."""
    reads = []

    def part(number):
        reads.append(number)
        return pd.DataFrame({"a": [number], "b": ["x"]})

    ddf = dd.from_delayed(
        [dask.delayed(part)(number) for number in range(4)],
        meta=pd.DataFrame({"a": [0], "b": ["x"]}),
    )
    groups = [KeyGroup(name, (name,), False) for name in "ab"]
    counts = count_keys(ddf, groups, {"a": 2, "b": 2}, {"a": 1, "b": 3})
    dask.compute(counts, scheduler="synchronous")
    assert sorted(reads) == [0, 1, 2, 3]


def test_integers_that_only_meet_as_floats_are_refused():
    frame = pd.DataFrame({"a": [2**53 + 1, 1], "b": [0.5, 1.5]})
    with pytest.raises(PopSamplerError, match=str(2**53 + 1)):
        counted(frame, KeyGroup("a_b", ("a", "b"), True), 1)


@pytest.mark.parametrize("split_out", [2, 7])
def test_a_key_is_in_one_bucket_in_every_dtype(split_out, rng):
    """Partitions of integers, of floats and of nulls alone, which are keys in a combination."""
    left = [pd.Series(rng.integers(0, 50, 200)), pd.Series([*range(50), 2.5] * 2)]
    left.append(pd.Series([None] * 30))
    frames = [pd.DataFrame({"a": keys, "b": ["x", "y\0"] * (len(keys) // 2)}) for keys in left]
    ddf = dd.from_delayed(
        [dask.delayed(frame) for frame in frames], meta=frames[1], verify_meta=False
    )
    pair = KeyGroup("a_b", ("a", "b"), False)
    buckets = count_keys(ddf, [pair], {"a_b": 2}, {"a_b": split_out})["a_b"]
    buckets = dask.compute(*buckets, scheduler="synchronous")
    expected = Counter()
    for frame in frames:
        keys = frame["a"].astype(object).where(frame["a"].notna(), None)
        expected.update(zip(keys, frame["b"]))
    found = [sizes(bucket) for bucket in buckets]
    assert sum(map(len, found)) == len(expected)
    assert {key: size for bucket in found for key, size in bucket.items()} == expected
    assert all(0 < len(bucket) < 3 * len(expected) / split_out for bucket in found)
    assert sizes(add(buckets, pair)) == expected


def test_decimals_of_several_scales():
    """Arrow has one type for each number of digits."""
    parts = [["1.5", "2"], ["1.50", "100000000000000000000.25", "2.000"]]
    frame = pd.DataFrame({"a": [Decimal(key) for part in parts for key in part]})
    for npartitions in (1, 2, 5):
        found = counted(frame, KeyGroup("a", ("a",), False), npartitions)
        assert sizes(found) == Counter(frame["a"])
    frame = pd.DataFrame({"a": [Decimal(10) ** 40, Decimal("1e-40")]})
    with pytest.raises(PopSamplerError, match="'a'.*digits"):
        counted(frame, KeyGroup("a", ("a",), False), 2)


def test_zeros_of_both_signs_are_one():
    found = counted(pd.DataFrame({"a": [0.0, 0.5, -0.0]}), KeyGroup("a", ("a",), False), 2)
    assert sizes(found) == {0.0: 2, 0.5: 1}
