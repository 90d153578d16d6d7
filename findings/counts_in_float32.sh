#!/usr/bin/env bash
# Guess:    matrix.sum(axis=0) of a sparse float32 matrix is exact for ones, as NumPy's and SciPy's own sum of all entries are.
#           PyTorch Geometric's degree() counts in integers.
# Happens:  both add one at a time in float32, and stop at 2**24: an item with 20,000,000 interactions has 16,777,216. In SciPy,
#           dtype="float64" does not help, as it converts the finished sum. tocsc() or astype("float64") before the sum
#           does, and so does degree(..., dtype=torch.long).
# Versions: scipy 1.17.1, torch_geometric 2.8.1, torch 2.13.0, on the CPU.
# Matters:  implicit and LightFM take float32 matrices, and degrees are an item's popularity in a graph. The most popular items of
#           a large log all get one count: they are drawn too rarely, and the logQ correction is wrong.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 torch_geometric==2.8.1 torch==2.13.0 numpy==2.4.6
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import scipy.sparse as sp
import torch
from torch_geometric.utils import degree

COUNTS = np.array([20_000_000, 18_000_000, 1_000])
events = int(COUNTS.sum())
items = np.repeat(np.arange(3, dtype="int32"), COUNTS)
matrix = sp.csr_matrix((np.ones(events, "float32"), items, np.arange(events + 1, dtype="int32")), shape=(events, 3))
print(f"scipy {version('scipy')}, torch_geometric {version('torch_geometric')}: items with {', '.join(map('{:,}'.format, COUNTS))} events")
found = {
    "csr.sum(axis=0)": matrix.sum(axis=0),
    'csr.sum(axis=0, dtype="float64")': matrix.sum(axis=0, dtype="float64"),
    "csc.sum(axis=0)": matrix.tocsc().sum(axis=0),
}
total = float(matrix.sum())
del matrix
ids = torch.from_numpy(items).long()
found["degree"] = degree(ids, 3)
found["degree, dtype=torch.long"] = degree(ids, 3, dtype=torch.long)
found = {name: np.asarray(counts).ravel().astype("int64") for name, counts in found.items()}
for name, counts in found.items():
    print(f"{name}: {', '.join(map('{:,}'.format, counts))}")
print(f"csr.sum(): {total:,.0f}")
stopped = [name for name, counts in found.items() if counts.tolist() == [2**24, 2**24, 1_000]]
exact = [name for name, counts in found.items() if (counts == COUNTS).all()]
as_found = len(stopped) == 3 and exact == ["csc.sum(axis=0)", "degree, dtype=torch.long"] and abs(total - events) < 100
sys.exit(0 if as_found else "The behaviour has changed.")
PY
