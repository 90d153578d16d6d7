#!/usr/bin/env bash
# Guess:    the filters ("item", "not in", {7}) and ("item", "!=", 7) of a Parquet file select the same rows. As in SQL, a null is in
#           neither, as a comparison with null is unknown.
# Happens:  "not in" keeps the rows of null, "!=" leaves them out. pandas.read_parquet passes filters on, so it does the same. DuckDB
#           and polars leave nulls out of both.
# Versions: pyarrow 26.0.1, pandas 3.1.1, duckdb 2.0.1, polars 2.1.0.
# Matters:  such a filter drops blocked or reserved items. Events without an item pass it, and become the null item in the
#           popularity counts, often the most popular one; with a single excluded item and "!=" they were gone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pyarrow==26.0.1 pandas==3.1.1 duckdb==2.0.1 polars==2.1.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

pq.write_table(pa.table({"item": pa.array([7, 8, None, None, 9])}), "events.parquet")
names = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "pandas", "duckdb", "polars"))
print(f"{names}: the items 7, 8, null, null, 9 without item 7")
item = pl.col("item")
scan = pl.scan_parquet("events.parquet")
found = {}
for operator, value, select, where in (
    ("!=", 7, scan.filter(item != 7), "item != 7"),
    ("not in", {7}, scan.filter(~item.is_in([7])), "item not in (7)"),
):
    filters = [("item", operator, value)]
    found[operator] = {
        "pyarrow": pq.read_table("events.parquet", filters=filters)["item"].to_pylist(),
        "pandas": pd.read_parquet("events.parquet", filters=filters, dtype_backend="pyarrow")["item"].to_list(),
        "duckdb": [row[0] for row in duckdb.sql(f"select item from 'events.parquet' where {where}").fetchall()],
        "polars": select.collect()["item"].to_list(),
    }
    for name, items in found[operator].items():
        print(f"{name}, {operator}: {items}")
lengths = {operator: [len(items) for items in results.values()] for operator, results in found.items()}
sys.exit(0 if lengths == {"!=": [2, 2, 2, 2], "not in": [4, 4, 2, 2]} else "The behaviour has changed.")
PY
