#!/usr/bin/env bash
# Guess:    negative_sample(counts, ratio, method_id=3) draws log-uniformly over ranks, popular items first, as the
#           name of the method (RALM's sampling) and the two popularity methods before it say.
# Happens:  the formula for a rank gets the item's count, so that items are drawn about as 1/count: an item seen 20 times
#           is drawn a hundred times as often as an item seen 2,000 times.
# Versions: torch-rechub 0.9.0.
# Matters:  negatives are the reverse of the data's popularity, and a logQ correction for log-uniform draws has the
#           wrong sign. The losses still fall.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==1.26.4 pandas==2.2.3 scikit-learn==1.5.2 tqdm==4.67.1
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps torch-rechub==0.9.0
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from torch_rechub.utils.match import negative_sample

np.random.seed(17)
counts = {item: 2000 // (item + 1) for item in range(100)}
drawn = {}
print(f"torch-rechub {version('torch-rechub')}: 100 items of counts 2000, 1000, 666, ... 20; 5,000 draws of 5 items")
for method in (1, 2, 3):
    ids = np.concatenate([negative_sample(counts, 5, method_id=method) for _ in range(5000)])
    drawn[method] = np.bincount(ids, minlength=100)
    print(f"method {method}: most popular ten {drawn[method][:10].sum():,}, rarest ten {drawn[method][-10:].sum():,}")
as_found = drawn[3][-10:].sum() > 10 * drawn[3][:10].sum() and drawn[1][:10].sum() > 10 * drawn[1][-10:].sum() / 3
sys.exit(0 if as_found else "The behaviour has changed.")
PY
