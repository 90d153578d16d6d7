"""Tests readers of the files that stock Categorify writes."""

import pandas as pd
import pytest

from merlin_popsampler import FrequencyOrderError
from merlin_popsampler.store.stock_files import read_sizes


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
        with pytest.raises(FrequencyOrderError, match=f"numbers from {start}"):
            read_sizes(path, "i", 3)
