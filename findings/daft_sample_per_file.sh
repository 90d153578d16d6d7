#!/usr/bin/env bash
# Guess:    df.sample(fraction=0.01, seed=17) draws rows independently in all files, reproducibly, as Dask does with a random_state.
# Happens:  each file starts anew from the seed: of files of equal length, the rows of the same positions are drawn. So do the row
#           groups of a large file, and pieces of a table in memory. Without a seed the positions differ.
# Versions: daft 0.7.26, pyarrow 25.0.1, numpy 2.4.6.
# Matters:  files are often sorted alike, by user, by item or by hour, and writers cut them at one number of rows. A "random" sample
#           or test part then holds the same few hours or users of each file, all with events. Sample by a hash of an id.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check daft==0.7.26 pyarrow==25.0.1 numpy==2.4.6
cd "$folder"
DAFT_PROGRESS_BAR=0 DO_NOT_TRACK=true venv/bin/python - <<'PY'
import os
import sys
from importlib.metadata import version

import daft
import pyarrow as pa
import pyarrow.parquet as pq

print(", ".join(f"{name} {version(name)}" for name in ("daft", "pyarrow")))
for day in range(8):
    pq.write_table(pa.table({"day": [day] * 1000, "user": list(range(1000))}), f"day{day}.parquet")
different = {}
for seed in (17, 18, None):
    sampled = daft.read_parquet(f"{os.getcwd()}/day*.parquet").sample(fraction=0.01, seed=seed).to_pydict()
    users = {}
    for day, user in zip(sampled["day"], sampled["user"]):
        users.setdefault(day, []).append(user)
    different[seed] = len({tuple(sorted(of_day)) for of_day in users.values()})
    print(f"seed {seed}: {len(sampled['user'])} rows of {len(users)} files, {len({*sampled['user']})} different users of 1,000; day 0: {sorted(users[0])}")
sys.exit(0 if different == {17: 1, 18: 1, None: 8} else "The behaviour has changed.")
PY
