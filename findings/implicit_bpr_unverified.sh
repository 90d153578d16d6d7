#!/usr/bin/env bash
# Guess:    verify_negative_samples=False skips a check: BPR trains faster on a few false negatives, and recommends nearly
#           the same items.
# Happens:  BPR no longer learns popularity at all. implicit draws negatives from the interactions, so each item is a
#           negative as often as it is a positive, and its bias stays near 0. Only the check breaks this balance.
#           (The BPR of cornac draws negatives uniformly: the same name stands for another objective.)
# Versions: implicit 0.7.3, single thread.
# Matters:  where users have no tastes but popularity, the right top ten are the ten popular items. The default finds
#           most of them, the option none.
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
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy.sparse import csr_matrix

rng = np.random.default_rng(17)
users, items, events = 2_000, 200, 40_000
popularity = 1 / np.arange(1, items + 1)
drawn = rng.integers(0, users, events), rng.choice(items, events, p=popularity / popularity.sum())
seen = csr_matrix((np.ones(events, "float32"), drawn), shape=(users, items))
seen.data[:] = 1
print(f"implicit {version('implicit')}: {users:,} users choose {items} items by popularity alone")
popular = np.argsort(-seen.getnnz(axis=0))[:10]
found = {}
for verify in (True, False):
    model = BayesianPersonalizedRanking(
        factors=8, iterations=50, random_state=17, num_threads=1, verify_negative_samples=verify
    )
    model.fit(seen, show_progress=False)
    top, _ = model.recommend(np.arange(users), seen, N=10, filter_already_liked_items=False)
    found[verify] = np.isin(top, popular).mean()
    print(f"verify_negative_samples={verify}: {found[verify]:.1%} of the top ten are among the ten most popular items")
sys.exit(0 if found[True] > 0.5 and found[False] < 0.15 else "The behaviour has changed.")
PY
