#!/usr/bin/env bash
# Guess:    where the searched leaves hold fewer items than are asked for, ScaNN's search_batched marks the empty places: -1, as faiss does.
# Happens:  the indices of empty places are 0, which is an item. Only their distances, NaN, tell them from it. `search` of one query returns
#           a shorter list. The same holds for final_num_neighbors above the number of items.
# Versions: scann 1.4.2, numpy 2.4.6.
# Matters:  candidates for a ranking are usually taken as indices alone, some hundred of them from few leaves. Item 0 is then a candidate
#           of all users, and many times of each. With ids by frequency it is the most popular item, so that it looks right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scann==1.4.2 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - 2>"$folder/log" <<'PY' || { status=$?; tail -5 "$folder/log"; exit $status; }
import sys
from importlib.metadata import version

import numpy as np
import scann

print(", ".join(f"{name} {version(name)}" for name in ("scann", "numpy")))
rng = np.random.default_rng(17)
items, users = rng.standard_normal((20_000, 32), dtype=np.float32), rng.standard_normal((200, 32), dtype=np.float32)
best = np.argsort(-(users @ items.T), axis=1)
found = {}
for asked in (10, 300):
    builder = scann.scann_ops_pybind.builder(items, asked, "dot_product")
    searcher = builder.tree(200, 2, training_sample_size=len(items)).score_brute_force().build()
    indices, distances = searcher.search_batched(users)
    empty = np.isnan(distances)
    alone = [len(searcher.search(user)[0]) for user in users]
    with_zero = (indices == 0).any(axis=1).mean()
    right = (best[:, :asked] == 0).any(axis=1).mean()
    found[asked] = empty.mean() > 0.1, with_zero > 0.9, right < 0.1, bool((indices[empty] == 0).all()), min(alone) < asked
    print(
        f"{asked} of {len(items)} items: {empty.mean():.1%} of the places are empty, with index {np.unique(indices[empty]).tolist()}; "
        f"item 0 is a candidate of {with_zero:.0%} of the users, by an exact search of {right:.0%}; one query alone returns {min(alone)} to {max(alone)} items"
    )
expected = {10: (False, False, True, True, False), 300: (True, True, True, True, True)}
sys.exit(0 if found == expected else "The behaviour has changed.")
PY
