#!/usr/bin/env bash
# Guess:    the sum of the counts of value_counts() is the number of rows, and a difference of two counts can be negative.
# Happens:  counts are UInt32, and sum() stays in UInt32, though it widens 8 and 16 bits. Above 4,294,967,295 it wraps around: two
#           items with 3 and 2 billion events have 705 million, and shares of 4.3 and 2.8. So do cum_sum(), group_by().agg(),
#           sum_horizontal() and SQL. A count that falls from 7 to 5 changes by 4,294,967,294.
# Versions: polars 2.1.0 and 1.31.0 (this script: 2.1.0). mean() is right, and so are pandas 3.1.1 and duckdb 2.0.1 with UInt32.
# Matters:  counts of many files are added up, and divided by their sum, to get the popularity. Trends of items are differences
#           of two weeks. The first error needs a large log, the second one a single event. Cast counts to Int64 first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0 pandas==3.1.1 duckdb==2.0.1 pyarrow==26.0.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import duckdb
import polars as pl

print(", ".join(f"{name} {version(name)}" for name in ("polars", "pandas", "duckdb")))
dtype = pl.Series(["shoe", "hat"]).value_counts()["count"].dtype
counts = pl.DataFrame({"item": ["shoe", "hat"], "count": pl.Series([3_000_000_000, 2_000_000_000], dtype=dtype)})
count, arrow = pl.col("count"), counts.to_arrow()
found = {
    "sum": counts["count"].sum(),
    "cum_sum": counts["count"].cum_sum()[-1],
    "group_by": counts.group_by(pl.lit(1)).agg(count.sum())["count"][0],
    "sum_horizontal": counts.select(pl.sum_horizontal(count, pl.lit(2_000_000_000, dtype)))["count"][0],
    "SQL": counts.sql("select sum(count) as total from self")["total"][0],
    "mean": counts["count"].mean() * 2,
    "sum of Int64": counts["count"].cast(pl.Int64).sum(),
    "pandas": int(counts.to_pandas()["count"].sum()),
    "duckdb": int(duckdb.sql("select sum(count) from arrow").fetchall()[0][0]),
}
print(f"value_counts() has {dtype}; the items have 3 and 2 billion events")
for name, total in found.items():
    print(f"{name}: {total:,.0f}")
shares = counts.select(count / count.sum())["count"].to_list()
print(f"count / count.sum(): {shares[0]:.2f} and {shares[1]:.2f}")
weeks = [pl.Series(["shoe"] * events).value_counts()["count"] for events in (7, 5)]
change = (weeks[1] - weeks[0])[0]
print(f"from 7 events to 5: a change of {change:,}")
wrapped = {"sum", "cum_sum", "group_by", "sum_horizontal", "SQL"}
as_found = all(total == 5_000_000_000 - 2**32 * (name in wrapped) for name, total in found.items())
sys.exit(0 if as_found and change == 2**32 - 2 else "The behaviour has changed.")
PY
