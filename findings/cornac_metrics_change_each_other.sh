#!/usr/bin/env bash
# Guess:    a metric of a fixed model on fixed data is one number. Asking for Recall@10 as well does not change the MRR.
# Happens:  it does. The largest k among the metrics decides how many items are sorted; the rest stays as a partition left it. MRR
#           and NDCG without k take that rest for a ranking: an item of rank 20 gets another rank.
# Versions: cornac 2.2.2, NumPy 1.26.4 (2.3.0 has the same lines).
# Matters:  tables mix MRR with metrics at 10 or 20. One more column changes the others, and the larger its k, the less.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  cornac==2.2.2 numpy==1.26.4 scipy==1.13.1 "setuptools==80.9.0"
cd "$folder"
venv/bin/python -W ignore - 2>log <<'PY' || { tail -n 5 log >&2; exit 1; }
import sys
from importlib.metadata import version

import numpy as np
from cornac.data import Dataset
from cornac.eval_methods.base_method import ranking_eval
from cornac.metrics import MRR, NDCG, Recall
from cornac.models import Recommender


class Fixed(Recommender):
    """Scores item i of user u by a fixed table."""

    def score(self, user_idx, item_idx=None):
        return table[user_idx] if item_idx is None else table[user_idx, item_idx]


rng = np.random.default_rng(17)
users, items = 100, 1_000
table = rng.normal(size=(users, items))
train = Dataset.build([(f"user{item % users}", f"item{item}", 1.0) for item in range(items)])
relevant = np.argsort(-table, axis=1)[:, 19]  # rank 20
test = Dataset.build(
    [(f"user{user}", f"item{item}", 1.0) for user, item in enumerate(relevant)],
    global_uid_map=train.uid_map, global_iid_map=train.iid_map, exclude_unknowns=True,
)
model = Fixed("fixed").fit(train)
print(f"cornac {version('cornac')}: fixed scores of {users} users and {items:,} items")
found = {}
for others in ([], [Recall(k=10)], [Recall(k=200)]):
    names = ", ".join(["MRR", "NDCG", *(metric.name for metric in others)])
    values, _ = ranking_eval(model, [MRR(), NDCG(), *others], train_set=train, test_set=test)
    found[names] = values[:2]
    print(f"evaluated with {names}: MRR {values[0]:.5f}, NDCG {values[1]:.5f}")
alone, ten, _ = found.values()
sys.exit(0 if all(b < 0.97 * a for a, b in zip(alone, ten)) else "The behaviour has changed.")
PY
