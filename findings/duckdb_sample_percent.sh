#!/usr/bin/env bash
# Guess:    SELECT ... FROM events WHERE liked USING SAMPLE 10% takes each row with a chance of one in ten, after WHERE,
#           at whose end it stands.
# Happens:  a percentage takes whole blocks of 2,048 rows: a table of 1,000 rows gives all or none. And the sample is taken before
#           WHERE: USING SAMPLE 1000 ROWS with a condition returns fewer than 1,000 of the many that fulfil it.
# Versions: duckdb 1.4.3.
# Matters:  events lie in files in order of user or time. Ten percent of the blocks is a few users' whole histories or a few
#           hours, so that popularity counted on the sample is not that of the table.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==1.4.3
"$folder/venv/bin/python" - <<'PY'
import sys

import duckdb

database = duckdb.connect()


def counts(query, times):
    """Returns the one number that the query gives, each time."""
    return [database.execute(query).fetchone()[0] for _ in range(times)]


database.execute("create table small as select range as row from range(1000)")
database.execute("create table events as select range as row, range // 100 as user, range % 2 = 0 as liked from range(100000)")
small = counts("select count(*) from small using sample 10%", 200)
bernoulli = counts("select count(*) from small using sample 10% (bernoulli)", 200)
print(f"duckdb {duckdb.__version__}: 10% of 1,000 rows, 200 times: sizes {sorted(set(small))}")
print(f"the same with (bernoulli): sizes from {min(bernoulli)} to {max(bernoulli)}")
users = counts("select count(distinct user) from events using sample 10%", 20)
each = counts("select count(distinct user) from events using sample 10% (bernoulli)", 20)
print(f"1,000 users of 100 rows each: 10% of the rows are of {min(users)} to {max(users)} users; with (bernoulli) {min(each)} to {max(each)}")
liked = counts("select count(*) from events where liked using sample 1000 rows", 20)
print(f"50,000 rows are liked; where liked using sample 1000 rows: {min(liked)} to {max(liked)} rows")
as_found = set(small) == {0, 1000} and max(users) < 600 < min(each) and max(liked) < 600
sys.exit(0 if as_found else "The behaviour has changed.")
PY
