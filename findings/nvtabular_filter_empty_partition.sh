#!/usr/bin/env bash
# Guess:    rows that a Filter removes do not reach the operators behind it, however the rows are cut into partitions.
# Happens:  where a partition loses all of its rows, the next operator gets the raw rows of that partition instead: they are
#           all back, without what the operators before the Filter did to them.
# Versions: nvtabular 23.8.0, merlin-core 23.8.0, pandas 1.5.3.
# Matters:  logs are written in order of time or by shop, so that a whole file without a click or a purchase is common. Its
#           rows then train the model as positives.
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

events = pd.DataFrame({"item": [10, 11, 12, 13], "bought": [1, 1, 0, 0]})
print(f"nvtabular {version('nvtabular')}: items 10 and 11 were bought, 12 and 13 were not; kept: bought == 1")
found = {}
for partitions in (1, 2):
    times_ten = ["item", "bought"] >> nvt.ops.LambdaOp(lambda column: column * 10)
    bought = times_ten >> nvt.ops.Filter(lambda frame: frame[frame["bought"] == 10])
    data = Dataset(events, npartitions=partitions, cpu=True)
    for name, graph in (("Filter", bought), ("Filter >> FillMissing", bought >> nvt.ops.FillMissing())):
        frame = nvt.Workflow(graph).fit_transform(data).compute()
        found[name, partitions] = frame["item"].tolist()
        print(f"{partitions} partition(s), LambdaOp(x * 10) >> {name}: items {found[name, partitions]}")
back = found.pop(("Filter >> FillMissing", 2))
as_found = back == [100, 110, 12, 13] and all(items == [100, 110] for items in found.values())
sys.exit(0 if as_found else "The behaviour has changed.")
PY
