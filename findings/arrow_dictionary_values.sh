#!/usr/bin/env bash
# Guess:    Arrow compares a dictionary column by its values. Two equal entries of the dictionary are one item, and an entry that is null
#           is a missing value.
# Happens:  value_counts, unique and group_by of pyarrow go by the entries: "a" is there twice, each with a part of its count. Such nulls
#           are left in place by drop_null and fill_null, and null_count is 0. The values count in polars, DuckDB and DataFusion.
# Versions: pyarrow 26.0.1, polars 2.1.0, duckdb 2.0.1, datafusion 55.0.0, numpy 2.4.6.
# Matters:  the fast way to clean names is to change the dictionary alone, by utf8_lower or by null for "". The format allows both. Counts
#           are split then, and ids by frequency go by the parts. Decode the column before counting.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 polars==2.1.0 duckdb==2.0.1 datafusion==55.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import datafusion
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

print(", ".join(f"{name} {version(name)}" for name in ("pyarrow", "polars", "duckdb", "datafusion")))
raw = pa.array(["A", "a", "a", "b", "b", "", ""]).dictionary_encode()
names = pc.utf8_lower(raw.dictionary)
names = pc.if_else(pc.equal(names, ""), None, names)
column = pa.DictionaryArray.from_arrays(raw.indices, names)
events = pa.table({"item": column})
print(f"items {column.to_pylist()}, dictionary {names.to_pylist()}")
context = datafusion.SessionContext()
context.from_arrow(events, name="events")
query = "select item, count(*) as n from events group by item"
decoded = pa.table({"item": column.dictionary_decode()})
ways = {
    "pyarrow value_counts": lambda: [tuple(row.values()) for row in pc.value_counts(column).to_pylist()],
    "pyarrow group_by": lambda: [tuple(row.values()) for row in events.group_by("item").aggregate([([], "count_all")]).to_pylist()],
    "pyarrow group_by, decoded": lambda: [tuple(row.values()) for row in decoded.group_by("item").aggregate([([], "count_all")]).to_pylist()],
    "polars": lambda: pl.from_arrow(events).group_by("item").len().rows(),
    "DuckDB": lambda: duckdb.sql(query).fetchall(),
    "DataFusion": lambda: [tuple(row.values()) for row in context.sql(query).to_arrow_table().to_pylist()],
}
found = {}
for name, count in ways.items():
    found[name] = sorted(count(), key=str)
    print(f"{name}: {found[name]}")
nulls = column.null_count, pc.drop_null(column).to_pylist().count(None), pc.fill_null(column, "none").to_pylist().count(None), decoded["item"].null_count
print(f"missing values: null_count {nulls[0]}, left by drop_null {nulls[1]}, left by fill_null {nulls[2]}; decoded, null_count {nulls[3]}")
right = [("a", 3), ("b", 2), (None, 2)]
split = [("a", 1), ("a", 2), ("b", 2), (None, 2)]
expected = {name: split if name in list(ways)[:2] else right for name in ways}
sys.exit(0 if found == expected and nulls == (0, 2, 2, 2) else "The behaviour has changed.")
PY
