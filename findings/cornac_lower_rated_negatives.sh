#!/usr/bin/env bash
# Guess:    the triplets of cornac's `uij_iter` are a user, an item that the user has, and an item that the user does not have.
# Happens:  the negative may be any item that the user rated lower than the positive. A user who has items of 5, 3 and 1 has
#           the item of 1 as a negative of both others. With all ratings 1, negatives are items that the user does not have.
# Versions: cornac 3.0.1, numpy 2.4.6.
# Matters:  with counts of events as ratings, the items that a user played twice are pushed below the favourite. They are few, but a draw by
#           popularity hits them. VBPR and other models of cornac train on these triplets. Set ratings to 1 first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cornac==3.0.1 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from cornac.data import Dataset

print(", ".join(f"{name} {version(name)}" for name in ("cornac", "numpy")))
rng = np.random.default_rng(17)
users, items = 200, 100
pairs = {(f"u{rng.integers(users)}", f"i{min(int(rng.zipf(1.4)), items)}"): float(min(rng.zipf(1.8), 50)) for _ in range(6_000)}
found = {}
for kind in ("counts", "ones"):
    events = [(user, item, count if kind == "counts" else 1.0) for (user, item), count in pairs.items()]
    data = Dataset.from_uir(events, seed=17)
    own = set(zip(*(ids.tolist() for ids in data.uir_tuple[:2])))
    for draw in ("uniform", "popularity"):
        drawn = seen = 0
        for _ in range(20):
            for user, _, negative in data.uij_iter(batch_size=256, shuffle=True, neg_sampling=draw):
                drawn += len(user)
                seen += sum(pair in own for pair in zip(user.tolist(), negative.tolist()))
        found[kind, draw] = seen / drawn
        print(f"ratings are {kind}, neg_sampling {draw!r}: {found[kind, draw]:.1%} of {drawn} negatives are items that the user has")
few = [found["ones", draw] for draw in ("uniform", "popularity")]
as_found = few == [0, 0] and found["counts", "uniform"] > 0.02 and found["counts", "popularity"] > found["counts", "uniform"]
sys.exit(0 if as_found else "The behaviour has changed.")
PY
