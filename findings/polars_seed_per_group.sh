#!/usr/bin/env bash
# Guess:    df.group_by("user").agg(pl.col("item").sample(1, seed=17)) draws one item for each user, reproducibly and
#           independently of the other users, as pandas does with random_state.
# Happens:  each group starts anew from the seed. Of all users with equally many items, the item at the same position
#           is drawn. shuffle(seed=17).over("user") puts all of them into the same order, too.
#           Without a seed, or with pl.set_random_seed, the draws are independent.
# Versions: polars 2.1.0.
# Matters:  this is how one event per user is held out. The test set then holds, say, the fifth event of all users with
#           five, which is the newest of sorted data: a split by time that was meant to be random, or the reverse.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0
"$folder/venv/bin/python" - <<'PY'
import sys

import polars as pl

users, events = 200, 5
print(f"polars {pl.__version__}: one of {events} events is drawn for each of {users} users")
data = pl.DataFrame({"user": [i // events for i in range(users * events)], "position": list(range(events)) * users})
found = {}
for seed in (17, None):
    drawn = data.group_by("user").agg(pl.col("position").sample(1, seed=seed)).explode("position")
    orders = data.with_columns(pl.col("position").shuffle(seed=seed).over("user"))
    orders = orders.group_by("user", maintain_order=True).agg("position")["position"].to_list()
    found[seed] = drawn["position"].n_unique(), len(set(map(tuple, orders)))
    counts = dict(sorted(drawn["position"].value_counts().iter_rows()))
    print(f"seed={seed}: users by drawn position {counts}; {found[seed][1]} different order(s) of shuffle")
sys.exit(0 if found[17] == (1, 1) and found[None][0] == events and found[None][1] > 1 else "The behaviour has changed.")
PY
