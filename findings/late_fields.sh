#!/usr/bin/env bash
# Guess:    a field that is first seen in a later row becomes a column, as in pandas, or raises an error.
# Happens:  it is left out without a warning. pyarrow's Table.from_pylist takes the keys of the first dict alone, polars those of
#           the first 100 dicts of a list or of the first 100 JSON lines, DataFusion those of 1,000 lines, DuckDB
#           those of 20,480. infer_schema_length=None (polars) and sample_size=-1 (DuckDB) look at all rows.
# Versions: pyarrow 26.0.1, polars 2.1.0, datafusion 55.0.0, duckdb 2.0.1, pandas 3.1.1.
# Matters:  events have the field "bought" only if something was bought, and an item's features came in over the years. The column
#           is missing in training, and a program that asks for it "if it is there" goes on. Tests with few rows are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 polars==2.1.0 datafusion==55.0.0 duckdb==2.0.1 \
    pandas==3.1.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import json
import sys
from importlib.metadata import version

import datafusion
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa

packages = ("pyarrow", "polars", "datafusion", "duckdb", "pandas")
print(", ".join(f"{name} {version(name)}" for name in packages))


def columns_after(rows):
    """The columns, if the field "bought" is first seen after so many rows."""
    events = [{"item": item} for item in range(rows)] + [{"item": 7, "bought": True}]
    with open("events.json", "w") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)
    return {
        "pyarrow.Table.from_pylist": pa.Table.from_pylist(events).column_names,
        "polars.DataFrame": pl.DataFrame(events).columns,
        "polars.read_ndjson": pl.read_ndjson("events.json").columns,
        "polars.read_ndjson(infer_schema_length=None)": pl.read_ndjson("events.json", infer_schema_length=None).columns,
        "datafusion read_json": datafusion.SessionContext().read_json("events.json").schema().names,
        "duckdb": duckdb.sql("select * from 'events.json'").columns,
        "duckdb, sample_size=-1": duckdb.sql("select * from read_json('events.json', sample_size=-1)").columns,
        "pandas.DataFrame": pd.DataFrame(events).columns.tolist(),
        "pandas.read_json": pd.read_json("events.json", lines=True).columns.tolist(),
    }


lost = {}
for rows in (1, 99, 100, 1_000, 20_480):
    lost[rows] = [name for name, columns in columns_after(rows).items() if columns != ["item", "bought"]]
    print(f"a field from row {rows + 1:,} on is lost by: {', '.join(lost[rows])}")
lists = ["pyarrow.Table.from_pylist"]
of_100 = [*lists, "polars.DataFrame", "polars.read_ndjson"]
of_1000 = [*of_100, "datafusion read_json"]
expected = {1: lists, 99: lists, 100: of_100, 1_000: of_1000, 20_480: [*of_1000, "duckdb"]}
sys.exit(0 if lost == expected else "The behaviour has changed.")
PY
