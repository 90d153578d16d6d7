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
    with pytest.raises(PopSamplerError, match=r"2\*\*53"):
        counted(frame, KeyGroup("a_b", ("a", "b"), True), 1)
