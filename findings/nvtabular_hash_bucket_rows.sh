#!/usr/bin/env bash
# Guess:    HashBucket gives one item one bucket in a column without nulls, whatever row it is in.
# Happens:  on the CPU, the row label is hashed with the key. One item has as many buckets as rows, and a request has the bucket
#           of its row: sorting or filtering a frame changes all of them.
# Versions: nvtabular 23.8.0, merlin-core 23.8.0, pandas 1.5.3, on the CPU.
# Matters:  the embedding of a bucket is trained on random items, and learns nothing. There is no error and no warning, and the
#           buckets look as evenly filled as they should.
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
import pandas as pd
from merlin.io import Dataset

print(f"nvtabular {version('nvtabular')}: HashBucket(1000) of 500 rows that hold one item, and of one row of another label")
workflow = nvt.Workflow(["item"] >> nvt.ops.HashBucket(1000))
rows = pd.DataFrame({"item": [7] * 500})
buckets = workflow.fit_transform(Dataset(rows, cpu=True)).compute()["item"]
print(f"one item in 500 rows: {buckets.nunique()} buckets, the first are {buckets.tolist()[:5]}")
asked = [workflow.transform(pd.DataFrame({"item": [7]}, index=[label]))["item"].tolist()[0] for label in (0, 499)]
print(f"asked for with label 0: bucket {asked[0]}; with label 499: bucket {asked[1]}")
as_found = buckets.nunique() > 300 and asked == [buckets.iloc[0], buckets.iloc[499]]
sys.exit(0 if as_found else "The behaviour has changed.")
PY
