#!/usr/bin/env bash
# Guess:    with filter_already_liked_items=True, recommend returns no item that the user has. If fewer than N items are
#           left, the row is shorter, or padded with ids of -1.
# Happens:  the row is filled up with items that the user has, whose score is -3.4e38, the lowest float32. With N above
#           the number of items, item 0 follows again and again with a score of 0.0, which is above those.
#           Items of filter_items come back in the same way.
# Versions: implicit 0.7.3, single thread.
# Matters:  active users, small catalogs and filters by category leave few items. A program that keeps the ids alone
#           recommends what was bought already, and counts it in coverage and precision.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check implicit==0.7.3 numpy==1.26.4 scipy==1.13.1
export OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

rng = np.random.default_rng(17)
seen = (rng.random((20, 12)) < 0.3).astype("float32")
seen[0] = 1
seen[0, [9, 10]] = 0
seen = csr_matrix(seen)
model = AlternatingLeastSquares(factors=4, iterations=3, random_state=17, num_threads=1)
model.fit(seen, show_progress=False)
print(f"implicit {version('implicit')}: user 0 has 10 of 12 items; items 9 and 10 are left")
found = {}
for n in (5, 16):
    ids, scores = model.recommend(0, seen[0], N=n, filter_already_liked_items=True)
    print(f"N={n}: items {ids.tolist()}")
    print(f"      scores {[float(f'{score:.2g}') for score in scores]}")
    found[n] = ids.tolist(), scores
lowest = np.finfo("float32").min
filled = set(found[5][0][:2]) == {9, 10} and len(found[5][0]) == 5 and (found[5][1][2:] == lowest).all()
padded = found[16][0][12:] == [0] * 4 and (found[16][1][12:] == 0).all()
sys.exit(0 if filled and padded else "The behaviour has changed.")
PY
