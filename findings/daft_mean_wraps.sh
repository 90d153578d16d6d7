#!/usr/bin/env bash
# Guess:    the mean of integers lies between the smallest and the largest of them, as in NumPy, pandas, polars, DuckDB and PyArrow.
# Happens:  the sum wraps around at 64 bits before it is divided: the mean of six Unix times in nanoseconds is negative, as is each
#           group's. Five of them are right, and so are times in microseconds. SQL's avg does the same. A cast to float64
#           before the mean cures it.
# Versions: daft 0.7.26, pyarrow 25.0.1, numpy 2.4.6.
# Matters:  the mean time of an item's or a user's events is a usual feature, and pandas writes nanoseconds. Rare items, with up to five
#           events, have the right value, and all popular ones a random number. With more events no sign or size gives it away.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check daft==0.7.26 pyarrow==25.0.1 numpy==2.4.6
DAFT_PROGRESS_BAR=0 DO_NOT_TRACK=true "$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import daft
import numpy as np
import pyarrow.compute as pc
from daft import DataType, col

print(", ".join(f"{name} {version(name)}" for name in ("daft", "pyarrow", "numpy")))
second = 1_000_000_000
times = [1_790_000_000 * second + n * second for n in range(12)]
found = {}
for n in (5, 6, 12):
    events = daft.from_pydict({"item": [7] * n, "time": times[:n]})
    means = {
        "mean": events.mean("time"),
        "groupby": events.groupby("item").agg(col("time").mean()),
        "SQL": daft.sql("select avg(time) as time from events", events=events),
        "float64": events.agg(col("time").cast(DataType.float64()).mean()),
    }
    found[n] = {name: mean.to_pydict()["time"][0] / second for name, mean in means.items()}
    found[n]["NumPy"] = float(np.mean(times[:n])) / second
    found[n]["pyarrow"] = pc.mean(times[:n]).as_py() / second
    print(f"mean of {n} times, in seconds: {', '.join(f'{name} {mean:.0f}' for name, mean in found[n].items())}")
right = {
    n: [name for name, mean in means.items() if abs(mean - np.mean(times[:n]) / second) < 1] for n, means in found.items()
}
others = ["float64", "NumPy", "pyarrow"]
as_found = right == {5: ["mean", "groupby", "SQL", *others], 6: others, 12: others}
sys.exit(0 if as_found and found[6]["mean"] < 0 else "The behaviour has changed.")
PY
