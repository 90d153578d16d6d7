#!/usr/bin/env bash
# Guess:    HashBucket gives one item one bucket, in each file and each request.
# Happens:  one missing value in a file changes the bucket of each item in it. pandas reads that file's integers as
#           floats, and the hash of 5.0 is not that of 5. A negative id has another bucket as int32 than as int64.
# Versions: nvtabular 23.8.0, merlin-core 23.8.0, pandas 1.5.3, on the CPU.
# Matters:  an item has two embeddings, one for files with and one for files without nulls, each trained on a part of the
#           data. A served request without nulls meets only one of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  nvtabular==23.8.0 merlin-core==23.8.0 merlin-dataloader==23.8.0 dask==2023.3.2 distributed==2023.3.2.1 dask-cuda==23.6.0 \
  pandas==1.5.3 numpy==1.24.3 pyarrow==15.0.2 scipy==1.15.3 numba==0.68.1 "setuptools==80.9.0"
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import nvtabular as nvt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from merlin.io import Dataset

for name, last in (("whole", 4), ("with_null", None)):
    pq.write_table(pa.table({"item": pa.array([1, 2, 3, last], pa.int64())}), f"{name}.parquet")
print(f"nvtabular {version('nvtabular')}: HashBucket(1000) of an int64 column of two parquet files")
workflow = nvt.Workflow(["item"] >> nvt.ops.HashBucket(1000))
data = Dataset(["whole.parquet", "with_null.parquet"], engine="parquet", cpu=True)
buckets = workflow.fit_transform(data).compute()["item"].tolist()
whole, with_null = buckets[:4], buckets[4:]
print(f"items 1, 2, 3, 4:    buckets {whole}")
print(f"items 1, 2, 3, null: buckets {with_null}")
by_width = [workflow.transform(pd.DataFrame({"item": np.array([-7], t)}))["item"].tolist() for t in ("int32", "int64")]
print(f"item -7: bucket {by_width[0]} as int32, {by_width[1]} as int64")
as_found = not set(zip(range(3), whole)) & set(zip(range(3), with_null)) and by_width[0] != by_width[1]
sys.exit(0 if as_found else "The behaviour has changed.")
PY
