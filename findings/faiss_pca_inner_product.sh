#!/usr/bin/env bash
# Guess:    "PCA32,Flat" on vectors of 32 numbers is a rotation, so a search by inner product finds what "Flat" finds.
# Happens:  PCA subtracts the mean from items and queries. That leaves distances as they are, but takes the inner product of an
#           item with the mean from its score: less than a fifth of the true top ten is found. PCAR and PCAW do the same;
#           OPQ and RR, which subtract nothing, find all.
# Versions: faiss-cpu 1.15.1.
# Matters:  vectors of a model trained with a softmax have a large mean: its direction holds the popularity. An index with
#           PCA loses just that, and a Refine step gets the wrong candidates. "L2norm,PCA32" fails for cosines alike.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check faiss-cpu==1.15.1 numpy==2.4.6
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import sys

import faiss
import numpy as np

size, items = 32, 5_000
rng = np.random.default_rng(17)
vectors = rng.normal(1, 1, size=(items, size)).astype("float32")
queries = rng.normal(1, 1, size=(200, size)).astype("float32")
print(f"faiss {faiss.__version__}: {items:,} items of {size} numbers, mean 1, deviation 1; top ten of {len(queries)} queries")
found = {}
for metric, name in ((faiss.METRIC_INNER_PRODUCT, "inner product"), (faiss.METRIC_L2, "distance")):
    best = faiss.knn(queries, vectors, 10, metric=metric)[1]
    for kind in ("Flat", "PCA32,Flat", "PCAR32,Flat", "RR32,Flat"):
        index = faiss.index_factory(size, kind, metric)
        index.train(vectors)
        index.add(vectors)
        rows = zip(best, index.search(queries, 10)[1])
        found[name, kind] = np.mean([len(np.intersect1d(*row)) / 10 for row in rows])
        print(f"{name}, {kind}: {found[name, kind]:.2f} of the true top ten")
lost = [found.pop(("inner product", kind)) for kind in ("PCA32,Flat", "PCAR32,Flat")]
sys.exit(0 if max(lost) < 0.25 and min(found.values()) > 0.99 else "The behaviour has changed.")
PY
