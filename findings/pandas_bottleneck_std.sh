#!/usr/bin/env bash
# Guess:    bottleneck, which pandas recommends and uses once it is installed, makes means and deviations faster, not different. Its sums
#           are not used by pandas, since they would overflow.
# Happens:  std and var of a float32 column are then summed up in float32, one value after the other. A million values around 1,000
#           with a standard deviation of 1 have one of 9, and 5 million around 100 one of 3. Means are right.
# Versions: pandas 3.1.1, bottleneck 1.6.0, numpy 2.4.6.
# Matters:  prices, years and scores are stored as float32, and divided by std before training. The same code has other figures in
#           the environment of a colleague where bottleneck is installed, and a model is served features of another scale.
#           Convert to float64 first, or set pandas' option compute.use_bottleneck to False.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
cat >"$folder/std.py" <<'PY'
import sys
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pandas as pd

try:
    installed = f"bottleneck {version('bottleneck')}"
except PackageNotFoundError:
    installed = "without bottleneck"
print(f"pandas {pd.__version__}, numpy {np.__version__}, {installed}")
rng = np.random.default_rng(17)
found = []
for n, mean in ((1_000_000, 1_000), (5_000_000, 100)):
    values = (mean + rng.standard_normal(n)).astype(np.float32)
    column = pd.Series(values)
    found.append(float(column.std()))
    print(f"{n} float32 values around {mean}: std {found[-1]:.2f}, mean {column.mean():.2f}; as float64, std {column.astype('float64').std():.2f}")
as_found = min(found) > 2 if sys.argv[1] == "with" else max(abs(std - 1) for std in found) < 0.01
sys.exit(0 if as_found else "The behaviour has changed.")
PY
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" "$folder/std.py" without
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check bottleneck==1.6.0
OMP_NUM_THREADS=1 "$folder/venv/bin/python" "$folder/std.py" with
