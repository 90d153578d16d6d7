#!/usr/bin/env bash
# Guess:    categoricals whose categories differ between two writes are read back with the values that were written, or refused.
#           A Parquet file has a dictionary for each row group.
# Happens:  fastparquet reads the codes of all row groups by the dictionary of the last one. Items a, b, a, with b, c, c appended,
#           are read as b, c, b, b, c, c. The same file is right in pyarrow and polars, and a file of pyarrow is wrong in fastparquet, too.
#           With categories=[], or by iter_row_groups, the values are right.
# Versions: fastparquet 2026.9.0, pyarrow 26.0.1, polars 2.1.0, pandas 3.1.1.
# Matters:  each day has other items, and astype("category") numbers those that it sees. One appended day renames the items of
#           all days before it, with no missing value and no error. The number of rows and of events per day stays right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fastparquet==2026.9.0 pyarrow==26.0.1 polars==2.1.0 \
    pandas==3.1.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import fastparquet
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

print(", ".join(f"{name} {version(name)}" for name in ("fastparquet", "pyarrow", "polars", "pandas")))
days = [["a", "b", "a"], ["b", "c", "c"]]
frames = [pd.DataFrame({"item": pd.Categorical(day)}) for day in days]
fastparquet.write("fastparquet.parquet", frames[0])
fastparquet.write("fastparquet.parquet", frames[1], append=True)
tables = [pa.Table.from_pandas(frame) for frame in frames]
with pq.ParquetWriter("pyarrow.parquet", tables[0].schema) as writer:
    for table in tables:
        writer.write_table(table)
print(f"written: {sum(days, [])}")
found = {}
for file in ("fastparquet.parquet", "pyarrow.parquet"):
    ways = {
        "fastparquet": lambda: fastparquet.ParquetFile(file).to_pandas()["item"].tolist(),
        "fastparquet, categories=[]": lambda: fastparquet.ParquetFile(file).to_pandas(categories=[])["item"].tolist(),
        "fastparquet, iter_row_groups": lambda: [item for part in fastparquet.ParquetFile(file).iter_row_groups() for item in part["item"]],
        "pyarrow": lambda: pq.read_table(file)["item"].to_pylist(),
        "polars": lambda: pl.read_parquet(file)["item"].to_list(),
    }
    for name, read in ways.items():
        found[file, name] = read()
        print(f"{file}, read by {name}: {found[file, name]}")
wrong = {key: read for key, read in found.items() if read != sum(days, [])}
expected = {(file, "fastparquet"): list("bcbbcc") for file in ("fastparquet.parquet", "pyarrow.parquet")}
sys.exit(0 if wrong == expected else "The behaviour has changed.")
PY
