#!/usr/bin/env bash
# Guess:    the tag TARGET makes a column the target of the loader's batches, whatever its type: next items are a list.
# Happens:  a list column of varying length stops at the first batch with KeyError, the column's name. The loader takes targets
#           by name, but has renamed the list to "name__values" and "name__offsets". A list of one length is a target.
# Versions: merlin-dataloader 23.8.0, merlin-core 23.8.0, torch 2.13.0.
# Matters:  nothing says so when the loader is made, and a test set whose lists have one length works.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  merlin-core==23.8.0 merlin-dataloader==23.8.0 dask==2023.3.2 distributed==2023.3.2.1 dask-cuda==23.6.0 \
  pandas==1.5.3 numpy==1.24.3 pyarrow==15.0.2 numba==0.68.1 torch==2.13.0 "setuptools==80.9.0"
cd "$folder"
venv/bin/python -W ignore - 2>log <<'PY' || { tail -n 5 log >&2; exit 1; }
import sys
from importlib.metadata import version

import pandas as pd
from merlin.dataloader.torch import Loader
from merlin.io import Dataset
from merlin.schema import ColumnSchema, Schema, Tags

found = {}
for name, lists in (("one length", [[1, 2], [3, 4]]), ("two lengths", [[1, 2], [3]])):
    lengths = sorted({len(each) for each in lists})
    schema = Schema(
        [
            ColumnSchema("user", dtype="int64"),
            ColumnSchema("next", dtype="int64", dims=(None, (lengths[0], lengths[-1])), tags=[Tags.TARGET]),
        ]
    )
    data = Dataset(pd.DataFrame({"user": [1, 2], "next": lists}), cpu=True, schema=schema)
    try:
        _, target = next(iter(Loader(data, batch_size=2, shuffle=False)))
        found[name] = f"a target of type {type(target).__name__}"
    except KeyError as error:
        found[name] = f"KeyError {error}"
print(f"merlin-dataloader {version('merlin-dataloader')}: a list column with the tag TARGET")
for name, what in found.items():
    print(f"{name}: {what}")
as_found = found["one length"].startswith("a target") and found["two lengths"] == "KeyError 'next'"
sys.exit(0 if as_found else "The behaviour has changed.")
PY
