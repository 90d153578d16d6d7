#!/usr/bin/env bash
# Guess:    FillMedian fills missing values with the median, or close to it, however the rows are cut into partitions.
# Happens:  one partition gives the median. From more of them, only the minimum, the median and the maximum of each are
#           used. 10,000 random values in 50 partitions are filled with their 60 % quantile; with a trend over the
#           rows, as in data by time, with the 75 % quantile, over twice the median.
# Versions: nvtabular 23.8.0, merlin-core 23.8.0, dask 2023.3.2, pandas 1.5.3.
# Matters:  the same data in other files, or with another part_size, gives other features. Items without a rating or a date get
#           values that are far too large. Fit on one partition, or fill with a value of your own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  nvtabular==23.8.0 merlin-core==23.8.0 merlin-dataloader==23.8.0 dask==2023.3.2 distributed==2023.3.2.1 dask-cuda==23.6.0 \
  pandas==1.5.3 numpy==1.24.3 pyarrow==15.0.2 scipy==1.15.3 numba==0.68.1 "setuptools==80.9.0"
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import dask.dataframe as dd
import numpy as np
import nvtabular as nvt
import pandas as pd
from merlin.io import Dataset

ROWS = 10_001
rng = np.random.default_rng(17)
values = rng.lognormal(size=ROWS)
columns = {"random": values, "trend": values * np.linspace(1, 10, ROWS)}
print(f"nvtabular {version('nvtabular')}, dask {version('dask')}: {ROWS - 1:,} values, and one missing")
found = {}
for name, column in columns.items():
    frame = pd.DataFrame({"value": column})
    frame.loc[3, "value"] = np.nan
    known = frame["value"].dropna()
    for partitions in (1, 2, 50):
        data = Dataset(dd.from_pandas(frame, npartitions=partitions), cpu=True)
        filled = nvt.Workflow(["value"] >> nvt.ops.FillMedian()).fit_transform(data).compute()["value"].iloc[3]
        found[name, partitions] = quantile = (known < filled).mean()
        print(f"{name}, partitions {partitions}: filled with {filled:.2f}, the {quantile:.1%} quantile; the median is {known.median():.2f}")
as_found = all(abs(found[name, 1] - 0.5) < 0.001 for name in columns)
as_found = as_found and 0.57 < found["random", 50] < 0.65 and 0.7 < found["trend", 50] < 0.8
sys.exit(0 if as_found else "The behaviour has changed.")
PY
