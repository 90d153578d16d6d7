#!/usr/bin/env bash
# Guess:    a Delta table enforces its schema: rows with a column of doubles are refused by a table where it holds integers, or the
#           column is widened if one asks for schema_mode="merge". Iceberg refuses them.
# Happens:  the doubles are cut to integers without a warning, with schema_mode="merge" as well: weights 0.5 and 4.9 become 0 and 4.
#           merge() and polars' write_delta do the same. Ids appended to a float32 column are rounded. A number that is
#           too large, NaN, and text of a decimal raise an error.
# Versions: deltalake 1.6.6, pyarrow 26.0.1, polars 2.1.0, pyiceberg 0.12.0.
# Matters:  the first day's ratings or weights were whole numbers, so the column is of integers. From then on, half stars and decayed
#           weights are cut; a weight below 1 becomes 0, and its row is not trained. Compare the schemas before each append.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1 polars==2.1.0 "pyiceberg[sql-sqlite]==0.12.0"
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.sql import SqlCatalog

print(", ".join(f"{name} {version(name)}" for name in ("deltalake", "pyarrow", "polars", "pyiceberg")))
first = pa.table({"item": [1], "weight": [1]})
second = pa.table({"item": [2, 3], "weight": [0.5, 4.9]})


def merge(path):
    matched = DeltaTable(path).merge(second, "new.item = old.item", "new", "old").when_not_matched_insert_all()
    matched.execute()


found = {}
for name, append in {
    "append": lambda path: write_deltalake(path, second, mode="append"),
    'append, schema_mode="merge"': lambda path: write_deltalake(path, second, mode="append", schema_mode="merge"),
    "merge": merge,
    "polars write_delta": lambda path: pl.from_arrow(second).write_delta(path, mode="append"),
}.items():
    path = f"table{len(found)}"
    write_deltalake(path, first)
    append(path)
    table = DeltaTable(path).to_pyarrow_table().sort_by("item")
    found[name] = str(table.schema.field("weight").type), table["weight"].to_pylist()
    print(f"weights 0.5 and 4.9 after a first weight 1, {name}: {found[name][1]} ({found[name][0]})")
write_deltalake("floats", pa.table({"item": pa.array([0.5], pa.float32())}))
write_deltalake("floats", pa.table({"item": [16_777_217]}), mode="append")
rounded = max(DeltaTable("floats").to_pyarrow_table()["item"].to_pylist())
print(f"id 16777217 appended to a float32 column: {rounded:.0f}")
catalog = SqlCatalog("c", uri="sqlite:///catalog.db", warehouse="warehouse")
catalog.create_namespace("n")
table = catalog.create_table("n.events", schema=first.schema)
try:
    table.append(second)
    refused = False
except ValueError as error:
    refused = True
    print(f"pyiceberg: {type(error).__name__}, {str(error).splitlines()[0]}")
cut = all(kept == ("int64", [1, 0, 4]) for kept in found.values())
sys.exit(0 if cut and rounded == 16_777_216 and refused else "The behaviour has changed.")
PY
