#!/usr/bin/env bash
# Guess:    group_by("user").agg(pl.all().sample(1)) draws one row for each user, and select(pl.all().shuffle()) shuffles the rows.
# Happens:  each column is drawn by itself: the item is that of one event, its time and rating are those of others. pl.set_random_seed
#           changes nothing in that. With seed=17 in the expression, rows stay together, but all groups draw the same place
#           (see polars_seed_per_group.sh). df.sample, and pl.struct(pl.all()).sample(1), draw rows.
# Versions: polars 2.1.0.
# Matters:  this is how one event for each user is held out, and how training rows are shuffled. Columns have the right values and
#           lengths, and each mean is right; only the relation of item, time and label is that of chance.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0
"$folder/venv/bin/python" - <<'PY'
import sys

import polars as pl

print(f"polars {pl.__version__}")
users, events = 1_000, 20
rows = pl.DataFrame({"user": [n // events for n in range(users * events)], "item": range(users * events), "time": range(users * events)})
print(f"events whose item and time are one number, {events} of each of {users} users")
ways = {
    "select(pl.all().shuffle())": lambda: rows.select(pl.all().shuffle()),
    "select(pl.all().shuffle(seed=17))": lambda: rows.select(pl.all().shuffle(seed=17)),
    "agg(pl.all().sample(1))": lambda: rows.group_by("user").agg(pl.all().sample(1)).explode("item", "time"),
    "agg(pl.struct(pl.all()).sample(1))": lambda: rows.group_by("user").agg(pl.struct("item", "time").sample(1).alias("row")).explode("row").unnest("row"),
    "sample(fraction=1, shuffle=True)": lambda: rows.sample(fraction=1, shuffle=True),
}
found = {}
for seed in (None, 17):
    if seed:
        pl.set_random_seed(seed)
    for name, way in ways.items():
        drawn = way()
        share = (drawn["item"] == drawn["time"]).mean()
        found[seed, name] = share == 1
        print(f"{'set_random_seed(17), ' if seed else ''}{name}: item and time belong together in {share:.1%} of {drawn.height} rows")
apart = {name for (_, name), together in found.items() if not together}
as_found = apart == {"select(pl.all().shuffle())", "agg(pl.all().sample(1))"} and len({found[17, name] == found[None, name] for name in ways}) == 1
sys.exit(0 if as_found else "The behaviour has changed.")
PY
