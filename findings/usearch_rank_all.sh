#!/usr/bin/env bash
# Guess:    a search for as many results as there are items ranks all items. Were some missing, their keys would be -1.
# Happens:  over 200 of 2,000 items of inner products are missing, for each query the same ones, although the search may
#           visit all. Links of the graph lead to long vectors, and to some short ones leads none.
#           In a batch, the free places hold key 0, an item like the others, with a distance of NaN. `counts` tells.
# Versions: usearch 2.26.6, float32, default parameters.
# Matters:  rare items have short vectors. A ranking of all items by an index lacks the missing ones for all users, and a
#           metric that compares `keys` finds item 0 in each row.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check usearch==2.26.6 numpy==1.26.4
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from usearch.index import Index

rng = np.random.default_rng(17)
items, queries, size = 2_000, 20, 16
vectors = rng.normal(size=(items, size)) * np.exp(rng.normal(size=(items, 1)))
vectors, users = vectors.astype("float32"), rng.normal(size=(queries, size)).astype("float32")
keys = np.arange(1, items + 1)
print(f"usearch {version('usearch')}: {items:,} items with keys from 1, a search for {items:,} results")
found = {}
for metric in ("ip", "l2sq"):
    index = Index(ndim=size, metric=metric, dtype="f32")
    index.add(keys, vectors, threads=1)
    result = index.search(users, items, threads=1)
    missing = [frozenset(keys) - frozenset(row.tolist()) for row in result.keys]
    zeros = (result.keys == 0).sum(axis=1)
    lengths = np.linalg.norm(vectors, axis=1)
    found[metric] = len(missing[0]), len(set(missing)), int(zeros[0])
    print(f"{metric}: {len(missing[0])} items missing, {len(set(missing))} set(s) over {queries} queries, key 0 in {zeros[0]} places")
    if missing[0]:
        mean = lengths[np.array(sorted(missing[0])) - 1].mean()
        print(f"    mean length of the missing {mean:.2f}, of all {lengths.mean():.2f}")
number, sets, zeros = found["ip"]
sys.exit(0 if number > 100 and sets == 1 and zeros == number else "The behaviour has changed.")
PY
