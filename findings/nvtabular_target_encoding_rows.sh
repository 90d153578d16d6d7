#!/usr/bin/env bash
# Guess:    TargetEncoding leaves a row's own fold out while it encodes the training data. A fitted workflow gives an item of
#           new data one value, the mean over all folds.
# Happens:  each row of new data is put into a random fold too, and loses that fold's part of the training data. One item has as many
#           values in one request as there are folds, and which one depends on the row's position.
# Versions: nvtabular 23.8.0, merlin-core 23.8.0, pandas 1.5.3.
# Matters:  scores of a batch change when its rows are reordered, or scored one by one. kfold=1 encodes with all data, and
#           leaks the target while training.
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

rng = np.random.default_rng(17)
rows = pd.DataFrame({"item": np.repeat(np.arange(50), 6), "bought": rng.integers(0, 2, 300)})
print(f"nvtabular {version('nvtabular')}: TargetEncoding('bought', kfold=3) of 50 items with six rows each")
encoding = nvt.ops.TargetEncoding("bought", kfold=3, p_smooth=0, out_dtype="float32")
workflow = nvt.Workflow(["item"] >> encoding)
workflow.fit(Dataset(rows, cpu=True))
mean = rows.loc[rows["item"] == 7, "bought"].mean()
new = pd.DataFrame({"item": [7] * 12, "bought": 0})
batch = workflow.transform(new)["TE_item_bought"]
alone = [float(workflow.transform(new[i : i + 1])["TE_item_bought"].iloc[0]) for i in range(12)]
print(f"item 7, mean in the training data {mean:.3f}")
print(f"twelve equal new rows in one batch: {batch.round(3).tolist()}")
print(f"the same rows one by one: {np.round(alone, 3).tolist()}")
as_found = batch.nunique() > 1 and len(set(alone)) == 1 and alone[0] != mean
sys.exit(0 if as_found else "The behaviour has changed.")
PY
