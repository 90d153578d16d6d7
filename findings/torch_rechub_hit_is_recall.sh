#!/usr/bin/env bash
# Guess:    Hit@K is the share of users who find at least one of their items among the first K.
# Happens:  it is the number of found items of all users, divided by the number of their relevant items: two users who both find an item
#           at rank 1 have a Hit@1 of 0.4, if one of them has four relevant items. Users without a relevant item
#           lower the NDCG, MRR, recall and precision, and not Hit.
# Versions: torch-rechub 0.9.0, numpy 1.26.4.
# Matters:  Hit@10 is reported next to other libraries' hit rates. It is far below them where users have many items in the test,
#           weighs active users by their items, and is another number than the recall beside it. With one item each it is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==1.26.4 pandas==2.2.3 scikit-learn==1.5.2 tqdm==4.67.1
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps torch-rechub==0.9.0
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from torch_rechub.basic.metric import topk_metrics

print(f"torch-rechub {version('torch-rechub')}")
found = {}
for name, relevant in {
    "one item each": {"ann": [1], "bea": [5]},
    "four and one": {"ann": [1, 2, 3, 4], "bea": [5]},
    "one and none": {"ann": [1], "bea": []},
}.items():
    ranking = {"ann": [1, 8, 9], "bea": [5, 8, 9]}  # the first item is relevant, if the user has any
    metrics = topk_metrics(relevant, ranking, topKs=[1])
    found[name] = {metric: float(values[0].split(": ")[1]) for metric, values in metrics.items()}
    print(f"{name}: {found[name]}")
all_right = {"NDCG": 1.0, "MRR": 1.0, "Recall": 1.0, "Hit": 1.0, "Precision": 1.0}
expected = {
    "one item each": all_right,
    "four and one": {**all_right, "Recall": 0.625, "Hit": 0.4},
    "one and none": {"NDCG": 0.5, "MRR": 0.5, "Recall": 0.5, "Hit": 1.0, "Precision": 0.5},
}
sys.exit(0 if found == expected else "The behaviour has changed.")
PY
