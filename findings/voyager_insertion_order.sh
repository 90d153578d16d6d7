#!/usr/bin/env bash
# Guess:    how many of the true top ten an index of inner products finds depends on its parameters; the order in which
#           the same vectors are added changes little.
# Happens:  added in random order, it finds a quarter of them; added from the longest to the shortest, nearly all.
#           Space.InnerProduct gives each vector one more dimension, up to the greatest length seen so far. Vectors
#           added early got theirs for a smaller length, and the graph was linked by distances that no longer hold.
# Versions: voyager 2.2.3, one thread, default parameters.
# Matters:  models of inner products give popular items long vectors. An index in order of item id loses most of what the
#           model retrieves; sorting the vectors by length first costs nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check voyager==2.2.3 numpy==1.26.4
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import voyager

rng = np.random.default_rng(17)
items, queries, size = 2_000, 200, 16
vectors = rng.normal(size=(items, size)) * np.exp(rng.normal(size=(items, 1)))
vectors, users = vectors.astype("float32"), rng.normal(size=(queries, size)).astype("float32")
best = np.argsort(-(users @ vectors.T), axis=1)[:, :10]
by_length = np.argsort(-np.linalg.norm(vectors, axis=1))
print(f"voyager {version('voyager')}: {items:,} vectors of {size} numbers, the ten greatest inner products of {queries} queries")
found = {}
for name, order in (("random order", np.arange(items)), ("longest first", by_length)):
    index = voyager.Index(voyager.Space.InnerProduct, num_dimensions=size)
    index.add_items(vectors[order], order.tolist(), num_threads=1)
    ids, _ = index.query(users, k=10, num_threads=1)
    found[name] = np.mean([np.isin(x, y).mean() for x, y in zip(best, ids)])
    print(f"added in {name}: {found[name]:.1%} of the true top ten are found")
sys.exit(0 if found["random order"] < 0.5 and found["longest first"] > 0.9 else "The behaviour has changed.")
PY
