#!/usr/bin/env bash
# Guess:    num_ng is the "No. of negative sampling per sample", as its documentation says: four negatives for each positive item,
#           drawn anew.
# Happens:  four items are drawn once for each user, and stand beside each of the user's positives. "low-pop" is hardly
#           different from uniform, as it draws in proportion to 1 - share.
# Versions: daisyrec 2.3.0, pandas 1.5.3, NumPy 1.23.5.
# Matters:  a user with 200 items is trained 200 times against the same four. Losses fall fast, as four items per user are
#           learned by heart.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==1.23.5 pandas==1.5.3
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps daisyrec==2.3.0
cat >"$folder/run.py" <<'PY'
import importlib.util
import sys
from importlib.metadata import distribution, version

import numpy as np
import pandas as pd

# The module alone: the package's import needs optimizers and models.
path = distribution("daisyrec").locate_file("daisy/utils/sampler.py")
spec = importlib.util.spec_from_file_location("sampler", path)
sampler = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sampler)

np.random.seed(17)
users, items, each = 50, 2_000, 200
popularity = 1 / np.arange(1, items + 1)
popularity /= popularity.sum()
history = {user: np.random.choice(items, each, replace=False, p=popularity) for user in range(users)}
seen = pd.DataFrame({"user": np.repeat(np.arange(users), each), "item": np.concatenate(list(history.values())), "rating": 1})
print(f"daisyrec {version('daisyrec')}: {users} users, each with {each} of {items:,} items; num_ng=4")
distinct, popular = {}, {}
for method in ("uniform", "high-pop", "low-pop"):
    config = {
        "UID_NAME": "user", "IID_NAME": "item", "INTER_NAME": "rating", "item_num": items, "user_num": users,
        "train_ur": {user: set(ids) for user, ids in history.items()}, "num_ng": 4, "loss_type": "BPR",
        "sample_method": method, "sample_ratio": 1.0,
    }
    drawn = pd.DataFrame(sampler.BasicNegtiveSampler(seen.copy(), config).sampling(), columns=["user", "positive", "negative"])
    distinct[method] = drawn.groupby("user")["negative"].nunique().max()
    print(f"{method}: {len(drawn) // users} negatives for each user, at most {distinct[method]} of them distinct items")
    probability = sampler.BasicNegtiveSampler(seen.copy(), config).pop_prob
    if probability is not None:
        counts = seen["item"].value_counts()
        popular[method] = probability[counts.index[0]] / probability[counts.index[-1]]
        print(f"  the most popular item is drawn {popular[method]:.3f} times as often as one that was seen once")
as_found = max(distinct.values()) <= 4 and popular["high-pop"] > 20 and popular["low-pop"] > 0.99
sys.exit(0 if as_found else "The behaviour has changed.")
PY
"$folder/venv/bin/python" -W ignore "$folder/run.py"
