"""The order itself, and the readers of other encoders' files."""

import numpy as np
import pandas as pd
import pytest

from merlin_popsampler import FrequencyOrderError
from merlin_popsampler.ops.counting import SIZE
from merlin_popsampler.ops.vocabulary import by_frequency, hash_buckets, read_sizes


def test_a_total_order(rng):
    keys, sizes = rng.permutation(500), rng.integers(1, 6, 500)
    ordered = by_frequency(pd.DataFrame({"a": keys, SIZE: sizes}), ["a"])
    expected = sorted(zip(keys, sizes), key=lambda row: (-row[1], row[0]))
    assert list(zip(ordered["a"], ordered[SIZE])) == expected


def test_combinations_with_nulls_first():
    frame = pd.DataFrame({"a": [2.0, 1.0, np.nan], "b": ["x", None, "x"], SIZE: [1, 1, 1]})
    assert by_frequency(frame, ["a", "b"]).index.tolist() == [2, 1, 0]


def test_words_are_ordered_to_their_end():
    """Of several columns pandas makes categories, in which words end at a NUL."""
    frame = pd.DataFrame({"a": ["x\0b", "x\0a", "x"], "b": [1, 2, 3], SIZE: [1, 1, 1]})
    assert by_frequency(frame, ["a", "b"])["b"].tolist() == [3, 2, 1]


def test_buckets_are_a_function_of_the_key():
    numbers, words = pd.Series([5, 6, 5], [9, 4, 1]), pd.Series(["x", "y", "x"], [9, 4, 1])
    buckets = hash_buckets([numbers, words], 1000).tolist()
    assert buckets[0] == buckets[2] != buckets[1]
    moved = [part.reset_index(drop=True) for part in (numbers, words)]
    assert hash_buckets(moved, 1000).tolist() == buckets


def write(path, index=None, **columns):
    pd.DataFrame(columns, index=index).to_parquet(path)
    return str(path)


@pytest.mark.parametrize("name_sep", ["_", "-"])
def test_sizes_of_any_separator(tmp_path, name_sep):
    path = write(tmp_path / "u", **{"i": [7, 8], f"i{name_sep}size": [4, 2]})
    assert read_sizes(path, "i", 3).tolist() == [4, 2]


def test_sizes_that_are_not_there(tmp_path):
    with pytest.raises(FrequencyOrderError, match="counts"):
        read_sizes(write(tmp_path / "u", i=[7, 8]), "i", 3)
    with pytest.raises(FrequencyOrderError, match="nothing at"):
        read_sizes(str(tmp_path / "gone"), "i", 3)


@pytest.mark.parametrize("start, fine", [(0, True), (3, True), (1, False), (4, False)])
def test_ids_that_start_elsewhere(tmp_path, start, fine):
    path = write(tmp_path / "u", index=pd.RangeIndex(start, start + 2), i=[7, 8], i_size=[4, 2])
    if fine:
        assert read_sizes(path, "i", 3).tolist() == [4, 2]
    else:
        with pytest.raises(FrequencyOrderError, match=f"numbered from {start}"):
            read_sizes(path, "i", 3)
