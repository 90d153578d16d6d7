#!/usr/bin/env bash
# Guess:    "where isnan(weight)" on a Parquet file finds the NaN in it. A filter has the same result with and without the file's
#           statistics: they only save reading.
# Happens:  statistics leave NaN out. If the other values are equal, minimum and maximum are too, and PyArrow, DuckDB and DataFusion
#           take all rows for that value: isnan(weight) finds none. "weight != 1" loses the NaN as well. So do
#           "weight > 1" and "weight = 'nan'" of SQL, where NaN is the largest number, also if the values differ.
# Versions: pyarrow 26.0.1, duckdb 2.0.1, datafusion 55.0.0. polars 2.1.0 finds the NaN. Files by DuckDB have no such statistics.
# Matters:  sample weights are mostly 1, and NaN where a join found none. The check for NaN before training reports none, the
#           rows are trained, and one of them makes the loss NaN. Read the column, and look for NaN in memory.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pyarrow==26.0.1 duckdb==2.0.1 datafusion==55.0.0 polars==2.1.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import datafusion
import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS = 1000
weights = np.ones(ROWS)
weights[::100] = np.nan
table = pa.table({"row": np.arange(ROWS), "weight": weights})
names = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "duckdb", "datafusion", "polars"))
print(f"{names}: {ROWS:,} weights, of which {int(np.isnan(weights).sum())} are NaN and the others 1")
context = datafusion.SessionContext()
weight = pc.field("weight")
found = {}
for name, statistics in (("with", True), ("without", False)):
    path = f"{name}.parquet"
    pq.write_table(table, path, write_statistics=statistics)
    context.register_parquet(name, path)
    counts = found[name] = {
        "pyarrow is_nan": pq.read_table(path, filters=pc.is_nan(weight)).num_rows,
        "pyarrow is_null(nan_is_null=True)": pq.read_table(path, filters=weight.is_null(nan_is_null=True)).num_rows,
        "pyarrow !=": pq.read_table(path, filters=weight != 1).num_rows,
        "polars is_nan": pl.scan_parquet(path).filter(pl.col("weight").is_nan()).collect().height,
        "polars !=": pl.scan_parquet(path).filter(pl.col("weight") != 1).collect().height,
    }
    for condition in ("isnan(weight)", "weight != 1", "weight > 1", "weight = 'nan'::double"):
        counts[f"duckdb {condition}"] = duckdb.sql(f"select count(*) from '{path}' where {condition}").fetchall()[0][0]
        rows = context.sql(f"select row from {name} where {condition}").to_pydict()
        counts[f"datafusion {condition}"] = len(rows.get("row", []))
for name, count in found["with"].items():
    print(f"{name}: {count} rows with statistics, {found['without'][name]} without")
as_found = all(count == (10 if name.startswith("polars") else 0) for name, count in found["with"].items())
sys.exit(0 if as_found and set(found["without"].values()) == {10} else "The behaviour has changed.")
PY
