#!/usr/bin/env bash
# Guess:    name_sep is the character between names of columns that are encoded together ("user_item"). For a single column it
#           does nothing.
# Happens:  with any other value than "_", ids follow the keys, no longer the frequencies, and max_size is ignored, for
#           single columns too.
# Versions: nvtabular 23.8.0, merlin-core 23.8.0, pandas 1.5.3.
# Matters:  samplers that take small ids for popular items then draw by alphabet. A vocabulary that was to be cut to fit the
#           embedding table keeps each key.
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

counts = {"apple": 1, "bread": 2, "milk": 4, "wine": 3}
frame = pd.DataFrame({"item": [item for item, count in counts.items() for _ in range(count)]})
print(f"nvtabular {version('nvtabular')}: counts {counts}")
found = {}
for settings in ({}, {"name_sep": "-"}, {"max_size": 4}, {"max_size": 4, "name_sep": "-"}):
    workflow = nvt.Workflow(["item"] >> nvt.ops.Categorify(out_path=".", **settings))
    ids = workflow.fit_transform(Dataset(frame, cpu=True)).compute()["item"]
    found[str(settings)] = list(dict(zip(frame["item"], ids)).values())
    print(f"Categorify({settings}): ids {dict(zip(frame['item'], ids))}")
as_found = list(found.values()) == [[6, 5, 3, 4], [3, 4, 5, 6], [2, 2, 3, 2], [3, 4, 5, 6]]
sys.exit(0 if as_found else "The behaviour has changed.")
PY
