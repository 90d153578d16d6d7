#!/usr/bin/env bash
# Guess:    a list column has its type from the file's schema, so that users without any history are valid rows, in whichever
#           partition they are.
# Happens:  a partition in which all lists are empty stops the fit: "Merlin doesn't provide a default dtype mapping for
#           `None`". The type is read off the first element of each partition. A partition with one item in it is fine.
# Versions: nvtabular 23.8.0, merlin-core 23.8.0, pandas 1.5.3.
# Matters:  whether a job runs depends on how the rows are cut. Files sorted by activity or date of sign-up end in empty lists;
#           the same rows shuffled fit.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  nvtabular==23.8.0 merlin-core==23.8.0 merlin-dataloader==23.8.0 dask==2023.3.2 distributed==2023.3.2.1 dask-cuda==23.6.0 \
  pandas==1.5.3 numpy==1.24.3 pyarrow==15.0.2 scipy==1.15.3 numba==0.68.1 "setuptools==80.9.0"
cd "$folder"
venv/bin/python -W ignore - 2>log <<'PY' || { tail -n 5 log >&2; exit 1; }
import sys
from importlib.metadata import version

import nvtabular as nvt
import pyarrow as pa
import pyarrow.parquet as pq
from merlin.io import Dataset

histories = pa.array([[1, 2], [3], [], []], pa.list_(pa.int64()))
print(f"merlin-core {version('merlin-core')}: list<int64> {histories.to_pylist()} in two files of two rows")
found = {}
for name, order in (("sorted", [0, 1, 2, 3]), ("mixed", [0, 2, 1, 3])):
    files = [f"{name}{part}.parquet" for part in (0, 1)]
    for part, file in enumerate(files):
        pq.write_table(pa.table({"items": histories.take(pa.array(order[2 * part : 2 * part + 2]))}), file)
    workflow = nvt.Workflow(["items"] >> nvt.ops.Categorify(out_path=name))
    try:
        workflow.fit(Dataset(files, engine="parquet", cpu=True))
        found[name] = "fitted"
    except TypeError as error:
        found[name] = str(error).strip().split(".")[0]
    print(f"{name}: {found[name]}")
as_found = found["mixed"] == "fitted" and "default dtype mapping" in found["sorted"]
sys.exit(0 if as_found else "The behaviour has changed.")
PY
