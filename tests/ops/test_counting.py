"""Counting in one pass, in any number of partitions."""

from collections import Counter

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.ops.counting import SIZE, count_keys
from merlin_popsampler.ops.keys import KeyGroup


def counted(frame, group, npartitions, split_every=3):
    ddf = dd.from_pandas(frame, npartitions=npartitions, sort=False)
    delayed = count_keys(ddf, [group], {group.name: split_every})
    return dask.compute(delayed, scheduler="synchronous")[0][group.name]


@pytest.mark.parametrize("npartitions", [1, 2, 7, 20])
@pytest.mark.parametrize("split_every", [1, 2, 8])
def test_counts_and_nulls(rng, npartitions, split_every):
    keys = rng.integers(0, 30, 200).astype(float)
    keys[::9] = np.nan
    found = counted(
        pd.DataFrame({"a": keys}), KeyGroup("a", ("a",), False), npartitions, split_every
    )
    assert found.nulls == 23
    assert dict(zip(found.frame["a"], found.frame[SIZE])) == Counter(keys[~np.isnan(keys)])
    assert found.frame["a"].dtype == "int64"


def test_pooled_columns():
    frame = pd.DataFrame({"a": [1, 2, 2], "b": [2.0, None, 7.0]})
    found = counted(frame, KeyGroup("a_b", ("a", "b"), True), 2)
    assert found.nulls == 1
    assert dict(zip(found.frame["a_b"], found.frame[SIZE])) == {1: 1, 2: 3, 7: 1}


def test_combinations_keep_partial_nulls():
    frame = pd.DataFrame({"a": [1, 1, None, None], "b": ["x", "x", "x", None]})
    found = counted(frame, KeyGroup("a_b", ("a", "b"), False), 2)
    assert found.nulls == 1 and sorted(found.frame[SIZE]) == [1, 2]


@pytest.mark.parametrize("npartitions", [1, 2, 5])
def test_combinations_are_counted_whole(npartitions):
    """Nulls, words with a NUL and numbers of any dtype, in whatever partition."""
    left = [1, None, 1.0, None, 2.5, True] * 2
    right = ["a\0b", "a\0b", "a\0c", "a", None, None] * 2
    left[5] = left[11] = 3
    found = counted(
        pd.DataFrame({"a": pd.Series(left, dtype=object), "b": right}),
        KeyGroup("a_b", ("a", "b"), False),
        npartitions,
    )
    frame = found.frame.astype(object).where(found.frame.notna(), None)
    assert dict(zip(zip(frame["a"], frame["b"]), frame[SIZE])) == Counter(zip(left, right))


def test_words_are_counted_to_their_end():
    """pandas ends them at a NUL."""
    keys = ["a\0b", "a\0c", "a", "a\0", "z", "z"]
    for npartitions in (1, 3):
        found = counted(pd.DataFrame({"a": keys}), KeyGroup("a", ("a",), False), npartitions)
        assert dict(zip(found.frame["a"], found.frame[SIZE])) == Counter(keys)


@pytest.mark.parametrize("name", ["size", "_popsampler_size", "index", "self", "0"])
def test_columns_of_any_name(name):
    found = counted(pd.DataFrame({name: [5, 5, 6]}), KeyGroup(name, (name,), False), 2)
    assert dict(zip(found.frame[name], found.frame[SIZE])) == {5: 2, 6: 1}


def test_one_pass_for_several_groups():
    """Each partition is read once, however many vocabularies are counted."""
    reads = []

    def part(number):
        reads.append(number)
        return pd.DataFrame({"a": [number], "b": ["x"]})

    ddf = dd.from_delayed(
        [dask.delayed(part)(number) for number in range(4)],
        meta=pd.DataFrame({"a": [0], "b": ["x"]}),
    )
    groups = [KeyGroup(name, (name,), False) for name in "ab"]
    dask.compute(count_keys(ddf, groups, {"a": 2, "b": 2}), scheduler="synchronous")
    assert sorted(reads) == [0, 1, 2, 3]


def test_integers_that_only_meet_as_floats_are_refused():
    frame = pd.DataFrame({"a": [2**53 + 1, 1], "b": [0.5, 1.5]})
    with pytest.raises(PopSamplerError, match=str(2**53 + 1)):
        counted(frame, KeyGroup("a_b", ("a", "b"), True), 1)
