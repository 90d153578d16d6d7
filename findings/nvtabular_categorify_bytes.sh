#!/usr/bin/env bash
# Guess:    a workflow that was fitted on strings gives the ids of the training data to the same strings in a served
#           request, or complains about their type.
# Happens:  strings in a request to Triton are NumPy objects of type bytes. Categorify compares b"a" with "a", and gives the id
#           of unknown keys to each of them, without a warning.
# Versions: nvtabular 23.8.0, merlin-core 23.8.0, pandas 1.5.3.
# Matters:  the deployed model answers each request as if it knew none of the items.
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

workflow = nvt.Workflow(["item"] >> nvt.ops.Categorify(out_path="."))
workflow.fit(Dataset(pd.DataFrame({"item": ["milk", "milk", "bread"]}), cpu=True))
print(f"nvtabular {version('nvtabular')}: fitted on milk, milk, bread")
ids = {}
for keys in (["milk", "bread"], [b"milk", b"bread"]):
    frame = pd.DataFrame({"item": np.array(keys, object)})
    ids[type(keys[0])] = workflow.transform(frame)["item"].tolist()
    print(f"{keys}: ids {ids[type(keys[0])]}")
sys.exit(0 if ids == {str: [3, 4], bytes: [2, 2]} else "The behaviour has changed.")
PY
