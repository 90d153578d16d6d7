#!/usr/bin/env bash
# Guess:    partition_on splits a query for several connections, and returns the rows that it has without it.
# Happens:  rows where that column is NULL are in no part. Arrow and `pl.read_database_uri` return the others alone. For pandas, the
#           frame has the full length, and its last rows hold what was in memory: here zeros, user 0 with item 0.
#           The introduction of ConnectorX says that the column cannot contain NULL. The docstrings do not, nor does polars: nothing is refused.
# Versions: connectorx 0.4.6, polars 2.1.0, pandas 3.1.1, pyarrow 26.0.1.
# Matters:  events of visitors without an account have no user, and are lost in silence. In pandas, item 0 gets as many events as there
#           are NULLs, and ids that go by frequency put it first. A check of the number of rows passes in pandas.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check connectorx==0.4.6 polars==2.1.0 pandas==3.1.1 pyarrow==26.0.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sqlite3
import sys
from importlib.metadata import version

import connectorx
import polars as pl

print(", ".join(f"{name} {version(name)}" for name in ("connectorx", "polars", "pandas", "pyarrow")))
events = [(row % 10 if row % 5 else None, row + 1) for row in range(1_000)]
connection = sqlite3.connect("events.db")
connection.execute("create table events (user integer, item integer)")
connection.executemany("insert into events values (?, ?)", events)
connection.commit()
address, query = "sqlite://events.db", "select user, item from events"
print(f"1000 events, {sum(user is None for user, _ in events)} of them without a user, items 1 to 1000")
parts = {"partition_on": "user", "partition_num": 4}
ways = {
    "arrow": lambda **kw: pl.from_arrow(connectorx.read_sql(address, query, return_type="arrow", **kw)),
    "polars.read_database_uri": lambda **kw: pl.read_database_uri(query, address, **kw),
    "pandas": lambda **kw: pl.from_pandas(connectorx.read_sql(address, query, return_type="pandas", **kw)),
}
as_found = True
for name, read in ways.items():
    whole, split = read(), read(**parts)
    known = split.filter(pl.col("item").is_in(range(1, 1_001))).n_unique("item")
    nulls = split["user"].null_count()
    print(f"{name}: {whole.height} rows, with partition_on {split.height} rows, {nulls} without a user, {known} of the 1000 items, last row {split.row(-1)}")
    as_found &= whole.sort("item").rows() == events and known <= 801
    as_found &= split.height == 1_000 if name == "pandas" else split.height == 800 and nulls == 0
sys.exit(0 if as_found else "The behaviour has changed.")
PY
