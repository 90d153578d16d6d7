#!/usr/bin/env bash
# Guess:    Workflow.transform(frame) depends on the frame's values. Its row labels (the index) play no part: shuffled rows
#           get the same ids, in shuffled order.
# Happens:  Categorify looks up nulls by label and writes their id by position. In a shuffled frame with one null, an item gets the
#           id of null, and the null gets the id of unknown keys.
# Versions: nvtabular 23.8.0, merlin-core 23.8.0, pandas 1.5.3.
# Matters:  frame.sample(frac=1), sort_values, or a filter without reset_index comes before most calls. Wrong ids are rare,
#           valid and silent.
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

frame = pd.DataFrame({"item": ["milk", "milk", "milk", "bread", "bread", None]})
workflow = nvt.Workflow(["item"] >> nvt.ops.Categorify(out_path="."))
workflow.fit(Dataset(frame, cpu=True))
print(f"nvtabular {version('nvtabular')}: ids are 1 for null, 2 for unknown keys, 3 for milk, 4 for bread")
found = {}
backwards = frame.iloc[::-1]
for name, rows in (("as fitted", frame), ("backwards", backwards), ("backwards, reset_index", backwards.reset_index(drop=True))):
    found[name] = workflow.transform(rows)["item"].tolist()
    print(f"{name}: {rows['item'].tolist()} are ids {found[name]}")
as_found = (
    found["as fitted"] == [3, 3, 3, 4, 4, 1]
    and found["backwards, reset_index"] == [1, 4, 4, 3, 3, 3]
    and found["backwards"] == [2, 4, 4, 3, 3, 1]
)
sys.exit(0 if as_found else "The behaviour has changed.")
PY
