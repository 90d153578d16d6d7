#!/usr/bin/env bash
# Guess:    pd.Timestamp of a NumPy time in picoseconds is that time, cut to nanoseconds, or an error: 5,000 ps are 5 ns.
# Happens:  the number is taken for nanoseconds, so that the time since 1970 is 1,000 times too long, without an error.
#           NumPy's own astype("datetime64[ns]") has it right.
# Versions: pandas 1.5.3, NumPy 1.26.4.
# Matters:  times order the sessions and split the data, and simulated or measured data come at such a resolution.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==1.5.3 numpy==1.26.4
"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import pandas as pd

time = np.datetime64(5000, "ps")
by_numpy = int(time.astype("datetime64[ns]").astype("int64"))
by_pandas = pd.Timestamp(time).value
print(f"pandas {pd.__version__}, NumPy {np.__version__}: 5,000 ps after 1970")
print(f"nanoseconds by NumPy: {by_numpy:,}; by pd.Timestamp: {by_pandas:,}")
sys.exit(0 if (by_numpy, by_pandas) == (5, 5000) else "The behaviour has changed.")
PY
