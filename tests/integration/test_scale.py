"""Runs benchmarks/scale.py on a small sample."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("nvtabular")
ROOT = Path(__file__).parents[2]


def run(folder, *arguments):
    command = [sys.executable, "-W", "ignore", str(ROOT / "benchmarks" / "scale.py")]
    done = subprocess.run(
        [*command, *arguments, "--kinds", "strings", "--rounds", "1", "--output", str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "scale.json").read_text()), (folder / "scale.md").read_text()


def test_both_encoders_are_measured(tmp_path):
    (row,), text = run(tmp_path, "--sizes", "3e4x2e3")
    assert (row["kind"], row["rows"], row["items"]) == ("strings", 30_000, 2_000)
    figures = [figure for figure in row if isinstance(row[figure], dict)]
    assert len(figures) == 8
    for figure in figures:
        ours, stock = row[figure]["FrequencyCategorify"], row[figure]["Categorify"]
        assert row[figure]["ratios"] == [pytest.approx(ours / stock)]
    assert row["threads_ms"]["to_nothing"] > 0
    assert text.count("\n| ") == 1 + len(figures)


def test_unfinished_measurements_are_reported(tmp_path):
    (row,), text = run(tmp_path, "--sizes", "100x50", "--limit", "0")
    assert row["fit_s"] == {"Categorify": None, "FrequencyCategorify": None, "ratios": []}
    assert text.count("not on this machine") == 16


def test_every_item_occurs(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import scale

    monkeypatch.setattr(scale, "CHUNK", 1000)
    scale.write_data(tmp_path / "data", "integers", 3500, 700, 17)
    files = sorted((tmp_path / "data").iterdir())
    assert len(files) == 4
    counts = pd.concat([pd.read_parquet(file) for file in files])["item"].value_counts()
    assert (len(counts), counts.sum()) == (700, 3500)
    assert counts.iloc[0] > 20 * counts.iloc[350]
    keys = scale.keys_of(np.arange(3_000_000))
    assert (keys.dtype, len(np.unique(keys))) == ("int64", 3_000_000)
