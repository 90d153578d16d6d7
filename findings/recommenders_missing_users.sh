#!/usr/bin/env bash
# Guess:    a user of the test data for whom the model recommends nothing counts as a miss, in each metric alike.
# Happens:  precision_at_k, recall_at_k, map_at_k and map leave that user out of the mean; ndcg_at_k counts the user as 0. With
#           recommendations for one user of a hundred, four metrics are 1.0 and NDCG is 0.01.
# Versions: recommenders 1.2.1, pandas 2.2.3.
# Matters:  the less a model dares to recommend, the better it looks. One table of results mixes means over two sets of users.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  numpy==1.26.4 pandas==2.2.3 scipy==1.13.1 scikit-learn==1.5.2 pandera==0.20.4
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps recommenders==1.2.1
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import pandas as pd
from recommenders.evaluation import python_evaluation

truth = pd.DataFrame({"userID": range(100), "itemID": 1, "rating": 1.0})
recommended = pd.DataFrame({"userID": [0], "itemID": [1], "prediction": [1.0]})
print(f"recommenders {version('recommenders')}: 100 users to test, a recommendation for one of them alone, and right")
found = {}
for name in ("precision_at_k", "recall_at_k", "map_at_k", "map", "ndcg_at_k"):
    found[name] = float(getattr(python_evaluation, name)(truth, recommended, k=1))
    print(f"{name}(k=1): {found[name]:.2f}")
ndcg = found.pop("ndcg_at_k")
sys.exit(0 if set(found.values()) == {1.0} and abs(ndcg - 0.01) < 1e-6 else "The behaviour has changed.")
PY
