"""Tests that a fit gives the same ids, digests and contracts with all library versions.

Strings are nearly equal, empty, or of several scripts. Integers are negative, large, or next to
nulls. Other columns hold lists and empty lists, dates, and instants of a time zone. Buckets hold
rare and unseen keys. Columns come from a frame, and from a file, which versions of pandas read in
different dtypes.
"""

import json
from pathlib import Path

import pandas as pd
import pytest
from merlin.io import Dataset

from tests.support.golden_fit import REQUESTS, fit, frame
from tests.support.workflow_helpers import dataset

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "fit.json").read_text())
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("sharing")]


def from_a_frame(folder):
    return dataset(frame())


def from_files(folder):
    paths = [str(folder / f"{part}.parquet") for part in range(2)]
    for part, path in enumerate(paths):
        frame()[part * 200 : part * 200 + 200].to_parquet(path)
    return Dataset(paths, engine="parquet", cpu=True)


@pytest.mark.parametrize("read", [from_a_frame, from_files])
def test_golden_fit(read, tmp_path):
    found = fit(read(tmp_path), tmp_path)
    assert {*GOLDEN} == {*REQUESTS}
    for column, expected in GOLDEN.items():
        curves = {name: pytest.approx(fit, abs=1e-6) for name, fit in expected["fit"].items()}
        assert found[column] == {**expected, "fit": curves}, column


def test_the_golden_ids_are_in_order_of_frequency():
    """Checks the golden ids themselves by value_counts of pandas."""
    for column in ("string", "number", "day", "instant"):
        ids = pd.Series(GOLDEN[column]["ids"])
        sizes = ids[ids >= 3].value_counts().sort_index()
        assert sizes.is_monotonic_decreasing
        assert sizes.index.tolist() == [*range(3, 3 + frame()[column].nunique())]
