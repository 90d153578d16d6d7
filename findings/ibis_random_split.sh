#!/usr/bin/env bash
# Guess:    a column that mutate(draw=ibis.random()) adds is a column like others: draw < 0.8 and draw >= 0.8 are two parts of
#           the table, without a common row.
# Happens:  each execution draws anew. Of 10,000 rows, some 1,600 are in both parts, and as many in neither. Within one execution,
#           as in a union of both parts, the column has one value for each row.
# Versions: ibis-framework 12.0.0 with duckdb 1.4.3 and 2.0.1 (this script: 1.4.3).
# Matters:  four of five rows of the test are in the training data, and sizes are as expected: metrics are too good, and the
#           better the more a model memorizes. Split by a hash of the user, or write the table first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  "ibis-framework[duckdb]==12.0.0" duckdb==1.4.3 pyarrow==26.0.1 pandas==2.3.3 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import ibis

ROWS = 10_000
table = ibis.memtable({"row": range(ROWS)})
print(f"ibis-framework {version('ibis-framework')}, duckdb {version('duckdb')}: a split of {ROWS:,} rows, 80 to 20")


def split(events):
    """Returns the rows of both parts."""
    return [set(part.row.execute()) for part in (events.filter(events.draw < 0.8), events.filter(events.draw >= 0.8))]


drawn = table.mutate(draw=ibis.random())
found = {}
for name, events in (("random()", drawn), ("a hash of the row", table.mutate(draw=(table.row.hash() % 1000).abs() / 1000))):
    train, test = split(events)
    found[name] = len(train & test), ROWS - len(train | test)
    print(f"{name}: {len(train):,} and {len(test):,} rows, {found[name][0]:,} in both parts, {found[name][1]:,} in neither")
union = drawn.filter(drawn.draw < 0.8).union(drawn.filter(drawn.draw >= 0.8)).row.nunique().execute()
print(f"a union of both parts: {union:,} different rows")
redrawn = all(1_400 < count < 1_800 for count in found["random()"])
sys.exit(0 if redrawn and found["a hash of the row"] == (0, 0) and union == ROWS else "The behaviour has changed.")
PY
