#!/usr/bin/env bash
# Guess:    Bucketize of a missing value is missing, or a bucket of its own, as pandas.cut leaves it out.
# Happens:  it falls into the highest bucket, together with the greatest values.
# Versions: nvtabular 23.8.0, merlin-core 23.8.0, pandas 1.5.3, on the CPU.
# Matters:  an item without a cost is trained as one of the most expensive ones, and a user without an age as one of the oldest.
#           Fill missing values before with one below the lowest boundary.
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

import nvtabular as nvt
import numpy as np
import pandas as pd
from merlin.io import Dataset

costs = pd.DataFrame({"cost": [1.0, 15.0, 25.0, 99.0, np.nan]})
boundaries = [10, 20, 30]
buckets = nvt.Workflow(["cost"] >> nvt.ops.Bucketize({"cost": boundaries})).fit_transform(Dataset(costs, cpu=True)).compute()
by_pandas = pd.cut(costs["cost"], [-np.inf, *boundaries, np.inf], labels=False)
print(f"nvtabular {version('nvtabular')}, pandas {version('pandas')}: boundaries {boundaries}")
found = buckets["cost"].tolist()
for cost, bucket, by_cut in zip(costs["cost"], found, by_pandas):
    print(f"cost {cost}: bucket {bucket}, by pandas.cut {by_cut}")
as_found = found == [0, 1, 2, 3, 3] and by_pandas.isna().tolist() == [False] * 4 + [True]
sys.exit(0 if as_found else "The behaviour has changed.")
PY
