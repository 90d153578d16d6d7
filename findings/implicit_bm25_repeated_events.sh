#!/usr/bin/env bash
# Guess:    bm25_weight(events) and tfidf_weight(events) of a COO matrix of all events, one entry each, weigh as for the matrix of
#           their sums, since SciPy takes repeated entries for a sum.
# Happens:  an item's inverse frequency counts its entries instead of its users. With more entries than there are users, it is
#           negative: the most popular items get negative weights. events.tocsr() adds the entries up, and cures it.
# Versions: implicit 0.7.3, scipy 1.17.1.
# Matters:  a log of plays or purchases becomes such a matrix in one call, and BM25 is the usual step before ALS. ALS takes the
#           negative weights for dislikes: items that nine of ten users should see in their top ten are in none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check implicit==0.7.3 scipy==1.17.1 numpy==2.4.6
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import bm25_weight, tfidf_weight

USERS, ITEMS, EVENTS = 1_000, 500, 20_000
rng = np.random.default_rng(17)
shares = 1 / np.arange(1, ITEMS + 1)
items = rng.choice(ITEMS, EVENTS, p=shares / shares.sum())
events = sp.coo_matrix((np.ones(EVENTS, "float32"), (rng.integers(USERS, size=EVENTS), items)), shape=(USERS, ITEMS))
summed = events.tocsr()
print(f"implicit {version('implicit')}: {EVENTS:,} events of {USERS:,} users and {ITEMS} items, item 0 is the most popular one")
found = {}
for weight in (bm25_weight, tfidf_weight):
    for name, matrix in (("events", events), ("their sums", summed)):
        weights = weight(matrix).tocsr()
        negative = np.flatnonzero(np.asarray(weights.sum(axis=0)).ravel() < 0)
        model = AlternatingLeastSquares(factors=16, iterations=5, random_state=17, num_threads=1)
        model.fit(weights.astype("float32"), show_progress=False)
        best, _ = model.recommend(np.arange(USERS), summed, N=10, filter_already_liked_items=False)
        found[weight.__name__, name] = negative.tolist(), [float((best == item).any(axis=1).mean()) for item in range(4)]
        reached = ", ".join(f"{share:.0%}" for share in found[weight.__name__, name][1])
        print(f"{weight.__name__} of {name}: negative weights of the items {negative.tolist()}; "
              f"items 0 to 3 are in the top ten of {reached} of users")
as_found = all(bool(negative) == (name == "events") for (_, name), (negative, _) in found.items())
sys.exit(0 if as_found and 0 in found["bm25_weight", "events"][0] else "The behaviour has changed.")
PY
