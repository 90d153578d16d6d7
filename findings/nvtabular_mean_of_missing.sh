#!/usr/bin/env bash
# Guess:    JoinGroupby(stats=["mean"]) is the mean of the values that are there, as in pandas; of none, it is missing.
# Happens:  a missing value counts as 0 in the mean and the standard deviation: the mean of 4 and nothing is 2, below the
#           minimum of 4. The mean of nothing is 0. min and max leave missing values out. TargetEncoding divides alike.
# Versions: nvtabular 23.8.0, merlin-core 23.8.0, pandas 1.5.3.
# Matters:  mean ratings, prices and ages of items with gaps in the data are drawn towards 0. Filling the gaps before is
#           the only cure.
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

import numpy as np
import nvtabular as nvt
import pandas as pd
from merlin.io import Dataset

ratings = pd.DataFrame({"item": [1, 1, 2, 3, 3], "rating": [4.0, np.nan, np.nan, 2.0, 4.0]})
stats = ["count", "mean", "std", "min", "max"]
joined = nvt.Workflow(["item"] >> nvt.ops.JoinGroupby(["rating"], stats=stats, out_path="."))
columns = ["item_count", *(f"item_rating_{stat}" for stat in stats[1:])]
joined_stats = joined.fit_transform(Dataset(ratings, cpu=True)).compute()[columns].set_axis(stats, axis=1)
expected = ratings.groupby("item")["rating"].agg(stats)
encoding = nvt.ops.TargetEncoding("rating", kfold=1, p_smooth=0, out_path=".")
encoded = nvt.Workflow(["item"] >> encoding).fit_transform(Dataset(ratings, cpu=True)).compute()["TE_item_rating"]
print(f"nvtabular {version('nvtabular')}")
found = {}
for item, rows in ratings.groupby("item"):
    first = rows.index[0]
    found[item] = joined_stats.loc[first, "mean"], float(encoded.loc[first])
    print(f"ratings {rows['rating'].tolist()}:")
    print(f"  pandas         {expected.loc[item].round(3).to_dict()}")
    print(f"  JoinGroupby    {joined_stats.loc[first].round(3).to_dict()}")
    print(f"  TargetEncoding {found[item][1]:.3f}")
sys.exit(0 if found == {1: (2.0, 2.0), 2: (0.0, 0.0), 3: (3.0, 3.0)} else "The behaviour has changed.")
PY
