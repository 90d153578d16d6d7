#!/usr/bin/env bash
# Guess:    the mean of times, or of large integers, in Modin is that of pandas, which it replaces by one changed import.
# Happens:  groupby.mean divides an int64 sum, which wraps around after five times in nanoseconds. The mean time of a user with six events
#           in 2026 is in 1929. Means of int64 and uint64 columns wrap, too, with and without groups. Medians are right.
# Versions: modin 0.37.1, pandas 2.3.3, numpy 2.4.6.
# Matters:  the mean time of a user's events is a feature, and a way to order users for a split by time. Users with up to five events are
#           right, as in small tests. Ray and the engine "Python", which is used here, give the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check modin==0.37.1 pandas==2.3.3 numpy==2.4.6
MODIN_ENGINE=python "$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import modin.pandas
import numpy as np
import pandas

print(", ".join(f"{name} {version(name)}" for name in ("modin", "pandas", "numpy")))
found = {}
for events in (5, 6):
    times = pandas.Timestamp("2026-11-30") + pandas.to_timedelta(range(events), unit="h")
    for name, pd in {"pandas": pandas, "modin": modin.pandas}.items():
        frame = pd.DataFrame({"user": 1, "time": times, "nanoseconds": times.astype("int64"), "hash": np.full(events, 2**62, np.uint64)})
        groups = frame.groupby("user")
        found[events, name] = [
            groups["time"].mean().iloc[0].year,
            pandas.Timestamp(float(groups["nanoseconds"].mean().iloc[0])).year,
            pandas.Timestamp(float(frame["nanoseconds"].mean())).year,
            pandas.Timestamp(float(frame["nanoseconds"].median())).year,
            float(frame["hash"].mean()) / 2**62,
        ]
        years = found[events, name]
        print(
            f"{events} events, {name}: year of the mean time in groups {years[0]}, of the mean int64 in groups {years[1]}, "
            f"of the whole column {years[2]}, of its median {years[3]}; mean of uint64 {years[4]:.2f} times the right one"
        )
right = [2026] * 4 + [1]
as_found = found[5, "pandas"] == found[6, "pandas"] == right and found[5, "modin"][:4] == right[:4] and found[6, "modin"][:4] == [1929, 1929, 1929, 2026]
sys.exit(0 if as_found and found[6, "modin"][4] < 0.5 else "The behaviour has changed.")
PY
