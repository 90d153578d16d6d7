#!/usr/bin/env bash
# Guess:    negative_feedback_sampler draws uniformly among the items that a user has not seen. The source says that it
#           draws more items than needed and keeps as many as are asked for.
# Happens:  np.setdiff1d sorts what was drawn by item id, and the head of that is kept: negatives are the smallest ids. For
#           users with 50 items, no negative comes from the upper 30 % of the ids.
# Versions: recommenders 1.2.1, pandas 2.2.3, NumPy 1.26.4.
# Matters:  a model can tell positives from negatives by the id alone. Items of small ids, mostly the oldest of a catalogue,
#           are pushed down; the newest never are.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==1.26.4 pandas==2.2.3 scipy==1.13.1 scikit-learn==1.5.2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps recommenders==1.2.1
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from recommenders.datasets.pandas_df_utils import negative_feedback_sampler

rng = np.random.default_rng(17)
users, items, each = 200, 1_000, 50
seen = pd.concat(
    pd.DataFrame({"userID": user, "itemID": rng.choice(items, each, replace=False), "rating": 1})
    for user in range(users)
)
labelled = negative_feedback_sampler(seen, ratio_neg_per_user=1)
print(f"recommenders {version('recommenders')}: {users} users, each with {each} of {items:,} items; one negative for each")
shares = {}
for feedback, name in ((1, "positives"), (0, "negatives")):
    ids = labelled.loc[labelled["feedback"] == feedback, "itemID"]
    shares[name] = np.histogram(ids, bins=10, range=(0, items))[0] / len(ids)
    print(f"{name}: share of each tenth of the ids {shares[name].round(3).tolist()}")
as_found = shares["negatives"][7:].sum() == 0 and shares["positives"].min() > 0.08
sys.exit(0 if as_found else "The behaviour has changed.")
PY
