#!/usr/bin/env bash
# Guess:    an index with metric="dot" finds the items of the greatest inner products, up to a few that any graph index misses.
# Happens:  "dot" divides each vector by its length first, so that its neighbours are those of "cosine": a twelfth of the
#           true top ten is found. metric="inner_product" finds nearly all.
# Versions: pynndescent 0.7.0, numba 0.68.1.
# Matters:  models of inner products hold the popularity in the length of an item's vector. An index without it recommends rare
#           items: recall falls to a fraction of the offline figure, and no error and no warning tells.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pynndescent==0.7.0 numba==0.68.1 scikit-learn==1.9.1 scipy==1.17.1 numpy==2.2.6
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from pynndescent import NNDescent

rng = np.random.default_rng(17)
items, queries, size = 2_000, 200, 16
vectors = (rng.normal(size=(items, size)) * np.exp(rng.normal(size=(items, 1)))).astype("float32")
users = rng.normal(size=(queries, size)).astype("float32")
lengths = np.linalg.norm(vectors, axis=1)
best = {
    "inner products": np.argsort(-(users @ vectors.T), axis=1)[:, :10],
    "cosines": np.argsort(-(users @ (vectors / lengths[:, None]).T), axis=1)[:, :10],
}
print(f"pynndescent {version('pynndescent')}: {items:,} vectors of {size} numbers, {queries} queries; the share of the exact top ten that is found")
found = {}
for metric in ("dot", "cosine", "inner_product"):
    ids, _ = NNDescent(vectors, metric=metric, random_state=17).query(users, k=10)
    for name, exact in best.items():
        found[metric, name] = np.mean([np.isin(x, y).mean() for x, y in zip(exact, ids)])
    shares = ", ".join(f"{found[metric, name]:.1%} of the greatest {name}" for name in best)
    print(f"metric={metric!r}: {shares}; mean length of the found vectors {lengths[ids].mean():.1f}")
as_found = found["dot", "inner products"] < 0.2 and found["dot", "cosines"] > 0.8 and found["inner_product", "inner products"] > 0.8
sys.exit(0 if as_found else "The behaviour has changed.")
PY
