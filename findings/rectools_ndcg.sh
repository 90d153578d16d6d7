#!/usr/bin/env bash
# Guess:    NDCG of a perfect ranking is 1.0, and no NDCG is above 1.0.
# Happens:  with one relevant item, ranked first, NDCG(k=10) is 0.22: it divides by the DCG of ten relevant items. An item that
#           stands twice in the test data counts twice: with divide_by_achievable=True, NDCG is then 1.23.
#           MRR, MAP and recall are not changed by either.
# Versions: rectools 0.19.0.
# Matters:  figures of leave-one-out tests are a fifth of those of other libraries, and cannot be compared with papers. Users
#           who buy the same item again raise the figure. Drop repeated pairs, and set divide_by_achievable=True.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  rectools==0.19.0 pm-implicit==0.7.3 pandas==2.3.3 numpy==1.26.4 scipy==1.17.1
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import pandas as pd
from rectools.metrics import MAP, MRR, NDCG, Recall, calc_metrics

metrics = {
    "NDCG": NDCG(k=10),
    "NDCG, achievable": NDCG(k=10, divide_by_achievable=True),
    "MRR": MRR(k=10),
    "MAP": MAP(k=10),
    "Recall": Recall(k=10),
}
print(f"rectools {version('rectools')}: one user, ten recommended items, the first is the one relevant item")
ranking = pd.DataFrame({"user_id": 1, "item_id": range(10), "rank": range(1, 11)})
found = {}
for times in (1, 2):
    test = pd.DataFrame({"user_id": [1] * times, "item_id": [0] * times})
    values = calc_metrics(metrics, ranking, test)
    found[times] = [round(values[name], 2) for name in metrics]
    print(f"it stands {times} time(s) in the test data:", dict(zip(metrics, found[times])))
sys.exit(0 if found == {1: [0.22, 1, 1, 1, 1], 2: [0.44, 1.23, 1, 1, 1]} else "The behaviour has changed.")
PY
