#!/usr/bin/env bash
# Guess:    a workflow is saved with its vocabularies, so that after Workflow.load its schema names files in the folder that it was
#           loaded from.
# Happens:  the operators read the files of the loaded folder, but cat_path in the output schema is still that of the first fit. There
#           the file may be gone, or be one of a later fit.
# Versions: nvtabular 23.8.0, merlin-core 23.8.0, pandas 1.5.3.
# Matters:  what reads the vocabulary by the schema (an item table, a map of ids, a dashboard) fails on another machine, or takes keys
#           of a later fit for those of the model.
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


def fitted(keys):
    workflow = nvt.Workflow(["item"] >> nvt.ops.Categorify(out_path="vocabulary"))
    workflow.fit(Dataset(pd.DataFrame({"item": keys}), cpu=True))
    return workflow


def keys_by_schema(workflow):
    path = workflow.output_schema["item"].properties["cat_path"]
    return path.lstrip("./"), pd.read_parquet(path)["item"].dropna().tolist()


print(f"nvtabular {version('nvtabular')}: Categorify(out_path='vocabulary')")
fitted(["apple", "bread"]).save("saved")
fitted(["cheese", "milk"])  # a later fit into the same folder
loaded = nvt.Workflow.load("saved")
asked = Dataset(pd.DataFrame({"item": ["apple", "bread", "cheese"]}), cpu=True)
ids = loaded.transform(asked).compute()["item"].tolist()
path, keys = keys_by_schema(loaded)
print(f"loaded from 'saved': apple, bread, cheese get the ids {ids}")
print(f"its schema names {path!r}, which has the keys {keys}")
as_found = ids == [3, 4, 2] and path.startswith("vocabulary") and keys == ["cheese", "milk"]
sys.exit(0 if as_found else "The behaviour has changed.")
PY
