#!/usr/bin/env bash
# Guess:    interactions of -1, which LightFM takes for negative ones, push an item at least as far down as no interaction does.
# Happens:  with "warp", a sampled negative is thrown away if the user has any entry for it, whatever its sign. A disliked item
#           is neither a positive nor a negative of its user, and ranks above the items that nobody has seen. With "warp-kos" it
#           is a positive: the items that users dislike rank first. "logistic" and "bpr" push them down.
# Versions: lightfm-next 1.19.0, a maintained fork of LightFM.
# Matters:  ratings of one star or skips, stored as -1, protect an item from being a negative. Leave them out of the
#           matrix, and they are sampled as negatives like any other item.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check lightfm-next==1.19.0 numpy==2.4.6 scipy==1.17.1
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import scipy.sparse as sp
from lightfm import LightFM

USERS, LIKED, DISLIKED, ITEMS = 400, 50, 10, 100  # items 0 to 49 are liked, 50 to 59 disliked, 60 to 99 unseen
rng = np.random.default_rng(17)
ratings = np.zeros((USERS, ITEMS), "float32")
for row in ratings:
    row[rng.choice(LIKED, 10, replace=False)] = 1
    row[LIKED + rng.choice(DISLIKED, 5, replace=False)] = -1
left_out = np.maximum(ratings, 0)


def ranks(loss, matrix):
    """Returns the mean rank, from 0 to 99, of liked, disliked and unseen items."""
    model = LightFM(no_components=8, loss=loss, random_state=17)
    model.fit(sp.coo_matrix(matrix), epochs=30, num_threads=1)
    users, items = (grid.ravel().astype("int32") for grid in np.indices((USERS, ITEMS)))
    scores = model.predict(users, items, num_threads=1).reshape(USERS, ITEMS)
    rank = (-scores).argsort(1).argsort(1).mean(0)
    return rank[:LIKED].mean(), rank[LIKED : LIKED + DISLIKED].mean(), rank[LIKED + DISLIKED :].mean()


print(f"lightfm-next {version('lightfm-next')}: mean ranks among {ITEMS} items, 0 is the best")
found = {}
for loss in ("warp", "bpr", "warp-kos", "logistic"):
    found[loss] = ranks(loss, ratings)
    print(f"{loss:8}: liked {found[loss][0]:.1f}, disliked (-1) {found[loss][1]:.1f}, unseen {found[loss][2]:.1f}")
without = ranks("warp", left_out)
print(f"warp, without the entries of -1: liked {without[0]:.1f}, disliked {without[1]:.1f}, unseen {without[2]:.1f}")
above = found["warp"][1] < found["warp"][2] - 10 and without[1] > without[2] - 5
first = found["warp-kos"][1] < found["warp-kos"][0]
below = all(found[loss][1] > found[loss][2] for loss in ("bpr", "logistic"))
sys.exit(0 if above and first and below else "The behaviour has changed.")
PY
