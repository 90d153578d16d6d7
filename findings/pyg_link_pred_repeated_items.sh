#!/usr/bin/env bash
# Guess:    the link prediction metrics of PyTorch Geometric take the edges of a user for a set of items: who recommends exactly
#           the items that a user bought has a recall of 1, however often each was bought.
# Happens:  each edge counts as one relevant item, but a recommended item is found once. If a user bought item 1 three times and
#           item 2 once, the perfect ranking has a recall of 0.5, a MAP of 0.5 and an NDCG of 0.64. MRR is right.
# Versions: torch_geometric 2.8.1, torch 2.13.0.
# Matters:  purchases repeat, so edges of a real graph do, and RandomLinkSplit keeps them apart. The upper limit of the metric
#           depends on the data, and users who buy one item often weigh like failures. coalesce() the edges of the test.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch_geometric==2.8.1 torch==2.13.0 numpy==2.4.6
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import torch
from torch_geometric.metrics import LinkPredMAP, LinkPredMRR, LinkPredNDCG, LinkPredRecall
from torch_geometric.utils import coalesce

bought = torch.tensor([[0, 0, 0, 0], [1, 1, 1, 2]])  # user, item
ranking = torch.tensor([[1, 2, 3, 4]])
print(f"torch_geometric {version('torch_geometric')}: user 0 bought item 1 three times, item 2 once; the ranking begins with 1, 2")
found = {}
for metric in (LinkPredRecall, LinkPredMAP, LinkPredNDCG, LinkPredMRR):
    values = []
    for edges in (bought, coalesce(bought)):
        computed = metric(k=4)
        computed.update(ranking, edges)
        values.append(round(float(computed.compute()), 2))
    name = metric.__name__
    found[name] = values
    print(f"{name}: {values[0]}, after coalesce {values[1]}")
expected = {"LinkPredRecall": [0.5, 1.0], "LinkPredMAP": [0.5, 1.0], "LinkPredNDCG": [0.64, 1.0], "LinkPredMRR": [1.0, 1.0]}
sys.exit(0 if found == expected else "The behaviour has changed.")
PY
