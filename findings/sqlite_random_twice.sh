#!/usr/bin/env bash
# Guess:    with s as (select item, abs(random()) % 10 as part from events) select part from s where part < 2 returns the parts 0 and 1.
# Happens:  it returns all parts from 0 to 9. The inner query is merged into the outer one, and random() is called anew wherever "part"
#           stands: once in the condition, and once more in the result. "as materialized" draws once for each row.
# Versions: apsw 3.54.1.0 (SQLite 3.54.1). duckdb 2.0.1 and datafusion 55.0.0 return 0 and 1.
# Matters:  folds, parts and negatives are drawn so. A negative and the probability that was looked up for it do not belong
#           together, and the part that is stored is not the one that was selected. The number of rows is as expected.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.54.1.0 duckdb==2.0.1 datafusion==55.0.0 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import apsw
import datafusion
import duckdb
import pyarrow as pa

print(", ".join(f"{name} {version(name)}" for name in ("apsw", "duckdb", "datafusion")))
connection = apsw.Connection(":memory:")
connection.execute("create table events(item integer)")
connection.executemany("insert into events values (?)", [(item,) for item in range(2_000)])
query = "with s as {} (select item, {} as part from events) select part, part as copy from s where part < 2"
found = {}
for name, hint in {"SQLite": "", "SQLite, as materialized": "materialized"}.items():
    found[name] = list(connection.execute(query.format(hint, "abs(random()) % 10")))
events = pa.table({"item": range(2_000)})
draw = query.format("", "cast(floor(random() * 10) as integer)")
found["DuckDB"] = duckdb.sql(draw).fetchall()
context = datafusion.SessionContext()
context.register_record_batches("events", [events.to_batches()])
found["DataFusion"] = [(row["part"], row["copy"]) for batch in context.sql(draw).collect() for row in batch.to_pylist()]
seen = {}
for name, rows in found.items():
    parts = sorted({part for part, _ in rows})
    equal = sum(part == copy for part, copy in rows) / len(rows)
    seen[name] = parts, equal == 1
    print(f"{name}: {len(rows)} of 2,000 rows, parts {parts}; {equal:.0%} of the rows have the same part in both columns")
once = [0, 1], True
expected = {"SQLite": (list(range(10)), False), "SQLite, as materialized": once, "DuckDB": once, "DataFusion": once}
sys.exit(0 if seen == expected else "The behaviour has changed.")
PY
