#!/usr/bin/env bash
# Guess:    groupby("user")["time"].last() of Dask is the last row of each user, as in pandas, in data that is sorted by time.
# Happens:  with 8 partitions it is, with 16 or more it is not: a larger frame is grouped by a shuffle, which does not keep the
#           order of partitions. last and first are then rows of some partition in the middle. sort=True keeps to the
#           order here; drop_duplicates(keep="last") does by default, and does not with split_out.
# Versions: dask 2026.8.0, pandas 3.1.1. Dask 2023.3.2 keeps the order in groupby.
# Matters:  this is how the last event of each user is held out, and how the latest state of an item is kept. The tests on a
#           small frame pass; on the whole data, "last" is older than what remains for training: the future leaks.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "dask[dataframe]==2026.8.0" pandas==3.1.1 numpy==2.4.6 pyarrow==26.0.1
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
cd "$folder"
venv/bin/python - <<'PY'
import sys

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd

users, rows = 500, 20_000
data = pd.DataFrame({"user": np.random.default_rng(17).integers(users, size=rows), "time": np.arange(rows)})
last = data.groupby("user")["time"].last()
print(f"dask {dask.__version__}: the last of {rows:,} rows sorted by time, for each of {users} users")


def wrong(frame):
    return int((frame.compute(scheduler="sync").reindex(last.index) != last).sum())


found = {}
for partitions in (8, 16, 64):
    frame = dd.from_pandas(data, npartitions=partitions)
    found[partitions] = {
        "last": wrong(frame.groupby("user")["time"].last()),
        "last, sort=True": wrong(frame.groupby("user", sort=True)["time"].last()),
        "drop_duplicates": wrong(frame.drop_duplicates("user", keep="last").set_index("user")["time"]),
        "max": wrong(frame.groupby("user")["time"].max()),
    }
    print(f"{partitions} partitions, users with a wrong row:", found[partitions])
    mean = frame.groupby("user")["time"].last().compute(scheduler="sync").mean() / rows
    print(f"  mean place of 'last' in the data: {mean:.2f}, in pandas {last.mean() / rows:.2f}")
large = {partitions: found[partitions].pop("last") for partitions in (16, 64)}
right = not any(count for counts in found.values() for count in counts.values())
sys.exit(0 if right and large[64] > 400 else "The behaviour has changed.")
PY
