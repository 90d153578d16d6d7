#!/usr/bin/env bash
# Guess:    rows without a value in a column that a table is partitioned by go to a folder of their own, and are read back.
# Happens:  fastparquet leaves these rows out of the files, without a warning. pyarrow writes them to a folder of their own, and
#           then `pandas.read_parquet` of what `to_parquet` wrote raises "Cannot yet unify dictionaries with nulls".
# Versions: fastparquet 2026.9.0, pyarrow 26.0.1, pandas 3.1.1.
# Matters:  interactions without a day, a country or a shop are missing from counts, vocabulary and training data. Which of
#           the two happens depends on the engine that is installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  fastparquet==2026.9.0 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import pandas as pd

names = ("fastparquet", "pyarrow", "pandas")
print(", ".join(f"{name} {version(name)}" for name in names) + ": four items, the third without a day")
frame = pd.DataFrame({"item": [1, 2, 3, 4], "day": ["mon", "mon", None, "tue"]})
found = {}
for engine in ("fastparquet", "pyarrow"):
    frame.to_parquet(engine, engine=engine, partition_cols=["day"])
    try:
        found[engine] = sorted(pd.read_parquet(engine, engine=engine)["item"].tolist())
    except ValueError as error:
        found[engine] = str(error)
    print(f"written and read by {engine}: {found[engine]}")
without = sorted(pd.read_parquet("pyarrow", engine="pyarrow", columns=["item"])["item"].tolist())
print(f"pyarrow, the column of items alone: {without}")
as_found = found == {"fastparquet": [1, 2, 4], "pyarrow": "Cannot yet unify dictionaries with nulls"}
sys.exit(0 if as_found and without == [1, 2, 3, 4] else "The behaviour has changed.")
PY
