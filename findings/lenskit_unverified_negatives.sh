#!/usr/bin/env bash
# Guess:    sample_negatives(rows, n=5, verify=False) draws five items for each row, and saves the check that they are
#           negative. The documentation says that items are drawn independently for each row.
# Happens:  it returns one row of five items, however many rows were asked for. With verify=True there is one for each row.
# Versions: lenskit 2025.8.1.
# Matters:  the shape [1, n] broadcasts against [rows, n]: training runs, with the same few negatives for all rows.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check lenskit==2025.8.1 torch==2.13.0
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from lenskit.data import from_interactions_df

rng = np.random.default_rng(17)
seen = pd.DataFrame({"user_id": rng.integers(0, 50, 500), "item_id": rng.integers(0, 100, 500)}).drop_duplicates()
matrix = from_interactions_df(seen).interactions().matrix()
rows = np.arange(8, dtype=np.int32)
print(f"lenskit {version('lenskit')}: five negatives for each of eight rows")
shapes = {}
for weighting in ("uniform", "popularity"):
    for verify in (True, False):
        drawn = matrix.sample_negatives(rows, n=5, weighting=weighting, verify=verify, rng=rng)
        shapes[weighting, verify] = drawn.shape
        print(f"weighting={weighting!r}, verify={verify}: shape {drawn.shape}")
as_found = all(shape == ((8, 5) if verify else (1, 5)) for (_, verify), shape in shapes.items())
sys.exit(0 if as_found else "The behaviour has changed.")
PY
