#!/usr/bin/env bash
# Guess:    Groupby(ascending=False) sorts each user's rows from the newest to the oldest: "first" is the newest one, as the
#           first element of "list" is.
# Happens:  "list" is from the newest to the oldest, but "first" stays the oldest item, which is the last of that list, and
#           "last" the newest.
# Versions: nvtabular 23.8.0, merlin-core 23.8.0, pandas 1.5.3.
# Matters:  sessions cut to the newest items are sorted so. The "first" item, which is to be the target, is the oldest one of
#           the list: the model learns to predict the past.
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

events = pd.DataFrame({"user": [1, 1, 1, 2, 2], "item": [10, 20, 30, 40, 50], "time": [1, 2, 3, 2, 1]})
print(f"nvtabular {version('nvtabular')}: events of user 1 are 10, 20, 30 in order of time, of user 2 they are 50, 40")
found = {}
for ascending in (True, False):
    grouped = nvt.ops.Groupby(["user"], sort_cols=["time"], aggs={"item": ["list", "first", "last"]}, ascending=ascending)
    rows = nvt.Workflow(["user", "item", "time"] >> grouped).fit_transform(Dataset(events, cpu=True)).compute()
    columns = zip(rows["item_list"].map(list), rows["item_first"], rows["item_last"])
    found[ascending] = list(columns)
    for items, first, last in found[ascending]:
        print(f"ascending={ascending}: list {items}, first {first}, last {last}")
expected = {True: [([10, 20, 30], 10, 30), ([50, 40], 50, 40)], False: [([30, 20, 10], 10, 30), ([40, 50], 50, 40)]}
sys.exit(0 if found == expected else "The behaviour has changed.")
PY
