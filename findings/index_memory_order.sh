#!/usr/bin/env bash
# Guess:    an index of vectors takes an array by its values. Its order in memory changes nothing, as in hnswlib and FAISS.
# Happens:  voyager and VSAG read the memory as if it held one vector after the other. Item vectors in Fortran order, and a
#           selection of columns, make an index of other vectors, and queries in Fortran order ask for other ones: less
#           than 5 % of the nearest ten is found, of which chance alone gives 0.5 %. No error tells.
# Versions: voyager 2.2.3, pyvsag 0.18.5, hnswlib 0.8.0, numpy 1.26.4.
# Matters:  to_numpy() of a pandas frame is in Fortran order. vectors[:, :-1], which leaves out the bias of an item, is a
#           selection of columns. Offline metrics by NumPy are right, and the index retrieves items at random.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  voyager==2.2.3 pyvsag==0.18.5 hnswlib==0.8.0 numpy==1.26.4
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import json
import sys
from importlib.metadata import version

import hnswlib
import numpy as np
import pyvsag
import voyager

rng = np.random.default_rng(17)
items, queries, size = 2_000, 100, 16
wider = rng.normal(size=(items, 2 * size)).astype("float32")
vectors = np.ascontiguousarray(wider[:, :size])
users = rng.normal(size=(queries, size)).astype("float32")
distances = ((users[:, None] - vectors[None]) ** 2).sum(axis=2)
nearest = np.argsort(distances, axis=1)[:, :10]


def by_voyager(vectors, users):
    index = voyager.Index(voyager.Space.Euclidean, num_dimensions=size)
    index.add_items(vectors, list(range(items)), num_threads=1)
    return index.query(users, k=10, num_threads=1)[0]


def by_vsag(vectors, users):
    options = {"dtype": "float32", "metric_type": "l2", "dim": size, "index_param": {"base_quantization_type": "fp32"}}
    index = pyvsag.Index("brute_force", json.dumps(options))
    index.build(vectors=vectors, ids=np.arange(items), num_elements=items, dim=size)
    return [index.knn_search(vector=user, k=10, parameters="{}")[0] for user in users]


def by_hnswlib(vectors, users):
    index = hnswlib.BFIndex("l2", size)
    index.init_index(items)
    index.add_items(vectors, np.arange(items))
    return index.knn_query(users, k=10)[0]


pairs = {
    "all in C order": (vectors, users),
    "vectors in Fortran order": (np.asfortranarray(vectors), users),
    "vectors of the first columns": (wider[:, :size], users),
    "queries in Fortran order": (vectors, np.asfortranarray(users)),
}
print(f"{items:,} vectors of {size} numbers, {queries} queries; the share of the nearest ten that is found")
found = {}
for name, search in (("voyager", by_voyager), ("pyvsag", by_vsag), ("hnswlib", by_hnswlib)):
    for order, arguments in pairs.items():
        ids = search(*arguments)
        found[name, order] = np.mean([np.isin(x, np.asarray(y)).mean() for x, y in zip(nearest, ids)])
        print(f"{name} {version(name)}, {order}: {found[name, order]:.1%}")
right = {key for key, share in found.items() if share > 0.8}
expected = {key for key in found if key[0] == "hnswlib" or key[1] == "all in C order"}
as_found = right == expected and max(found[key] for key in found if key not in expected) < 0.05
sys.exit(0 if as_found else "The behaviour has changed.")
PY
