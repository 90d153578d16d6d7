#!/usr/bin/env bash
# Guess:    arrayMap(x -> rand() % 1000, range(5)) draws five negatives for each row, and two columns of rand() differ.
# Happens:  equal expressions are computed once for a row: all five are one number, and so are both columns. With the
#           documented argument that tells expressions apart, rand(x), it is the reverse: x is the same in all rows, and each
#           row gets the same five. rand((x, number)), with a column of the row, draws for each row and place.
# Versions: chdb 4.4.0 (ClickHouse 26.9).
# Matters:  tables of training rows are often written in SQL. "Five negatives" are then one, five times, or five items for all
#           users; counts and shapes are right. DuckDB's random() in two columns gives two numbers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  chdb==4.4.0 chdb-core==26.9.0 pandas==3.1.1 pyarrow==26.0.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import json
import sys

import chdb

ROWS, PLACES = 1000, 5
print(f"chdb {chdb.__version__}: {PLACES} negatives of a million items for each of {ROWS:,} users")
found = {}
for draw in ("rand()", "rand(x)", "rand((x, number))"):
    query = f"select arrayMap(x -> {draw} % 1000000, range({PLACES})) as negatives from numbers({ROWS})"
    lines = str(chdb.query(query, "JSONEachRow")).splitlines()
    rows = [tuple(json.loads(line)["negatives"]) for line in lines if line]
    found[draw] = max(len(set(row)) for row in rows), len(set(rows))
    print(f"{draw}: first users {rows[:2]}; different items in a row {found[draw][0]}, different rows {found[draw][1]}")
query = f"select countIf(a = b) from (select rand() as a, rand() as b from numbers({ROWS}))"
equal = int(str(chdb.query(query, "CSV")))
print(f"select rand() as a, rand() as b: equal in {equal:,} rows")
alike = found["rand()"][0] == 1 and found["rand()"][1] > 900 and equal == ROWS
as_found = alike and found["rand(x)"] == (PLACES, 1) and found["rand((x, number))"] == (PLACES, ROWS)
sys.exit(0 if as_found else "The behaviour has changed.")
PY
