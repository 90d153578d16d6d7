#!/usr/bin/env bash
# Guess:    retrieval metrics depend on the order of the scores alone; logits below 0 rank like any other scores.
# Happens:  MRR, recall, precision and MAP count a relevant item only if its score is above 0. A perfect ranking by negative
#           scores has an MRR of 0, while its hit rate, R-precision and NDCG are 1.
# Versions: torchmetrics 1.9.0, torch 2.13.0.
# Matters:  log-probabilities and negative distances are below 0 throughout, logits of a corrected softmax mostly. Part of the
#           users count as misses, whichever the order, and no two metrics agree on which.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torchmetrics==1.9.0 torch==2.13.0 numpy==1.26.4
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import torch
import torchmetrics
from torchmetrics import retrieval

relevant = torch.tensor([True, False, False, False])
users = torch.zeros(4, dtype=torch.long)
names = ["MRR", "Recall", "Precision", "MAP", "RPrecision", "HitRate", "NormalizedDCG"]
print(f"torchmetrics {torchmetrics.__version__}: one user, four items, the relevant one has the highest score")
found = {}
for name in names:
    for shift in (1.0, -1.0):
        scores = shift + torch.tensor([0.4, 0.3, 0.2, 0.1])
        settings = {} if name in ("MRR", "MAP", "RPrecision") else {"top_k": 1}
        found[name, shift] = float(getattr(retrieval, f"Retrieval{name}")(**settings)(scores, relevant, indexes=users))
    print(f"{name}: {found[name, 1.0]:.0f} with scores from 1.1 to 1.4, {found[name, -1.0]:.0f} with scores from -0.9 to -0.6")
lost = [name for name in names if found[name, -1.0] == 0]
as_found = lost == names[:4] and all(found[name, 1.0] == 1 for name in names)
sys.exit(0 if as_found else f"The behaviour has changed: {lost}")
PY
