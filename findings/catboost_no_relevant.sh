#!/usr/bin/env bash
# Guess:    in CatBoost's ranking metrics, a group without a relevant candidate counts the same in each metric: it is 0, or left out.
# Happens:  it is 1.0 in NDCG and RecallAt, and 0.0 in MAP, MRR, PrecisionAt, PFound, ERR and QueryAUC. With the worst ranking for one
#           user, and three users without a relevant item, recall at 1 is 0.75 and MAP 0.08.
# Versions: catboost 1.2.10, numpy 2.4.6.
# Matters:  users without a purchase among their candidates are many after a split by time. The more of them, the better are recall and
#           NDCG, and the worse are MAP and MRR. Figures of two days differ by the share of such users, not by the model.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check catboost==1.2.10 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from catboost.utils import eval_metric

print(", ".join(f"{name} {version(name)}" for name in ("catboost", "numpy")))
candidates, empty_users = 3, 3
labels = np.zeros((1 + empty_users, candidates))
labels[0, 2] = 1
scores = np.tile([3.0, 2.0, 1.0], (len(labels), 1))
users = np.repeat(np.arange(len(labels)), candidates)
metrics = ["NDCG:top=1", "RecallAt:top=1", "MAP:top=3", "MRR", "PrecisionAt:top=1", "PFound", "ERR", "QueryAUC"]
empty = {}
for metric in metrics:
    one = eval_metric(labels[0], scores[0], metric, group_id=users[:candidates])[0]
    empty[metric] = eval_metric(labels[1], scores[1], metric, group_id=users[:candidates])[0]
    together = eval_metric(labels.ravel(), scores.ravel(), metric, group_id=users)[0]
    print(f"{metric}: relevant item last {one:.2f}, no relevant item {empty[metric]:.2f}, the first user and {empty_users} of the others {together:.2f}")
    if abs(together - (one + empty_users * empty[metric]) / (1 + empty_users)) > 1e-6:
        sys.exit("The behaviour has changed.")
expected = dict.fromkeys(metrics, 0.0) | {"NDCG:top=1": 1.0, "RecallAt:top=1": 1.0}
sys.exit(0 if empty == expected else "The behaviour has changed.")
PY
