#!/usr/bin/env bash
# Guess:    BinaryAUROC depends on the order of the scores alone, and batches are put together before they are compared.
# Happens:  each update looks at its own batch. If a score is outside [0, 1], a sigmoid is applied to the whole batch; if
#           all of them are inside, none. Scores of the two kinds are then ranked together: a perfect ranking has 0.75.
# Versions: torchmetrics 1.9.0, torch 2.13.0.
# Matters:  models trained on sampled negatives give logits, and a batch of few candidates, or the last one, often has all of
#           them inside [0, 1]. The figure changes with the size of batches. Apply the sigmoid before, or one update.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 numpy==1.26.4
export OMP_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import sys

import torch
import torchmetrics
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

# eight pairs of a positive and a negative; the scores of four pairs are inside [0, 1]
positives = torch.tensor([0.98, 0.97, 0.96, 0.95, 2.0, 1.8, 1.6, 1.4])
negatives = torch.tensor([0.94, 0.93, 0.92, 0.91, 0.5, 0.0, -0.5, -1.0])
scores = torch.stack([positives, negatives], 1).ravel()
labels = torch.tensor([1, 0] * 8)
print(f"torchmetrics {torchmetrics.__version__}: 16 logits, every positive above every negative")
found = {}
for name, data in (("logits", scores), ("sigmoid", scores.sigmoid())):
    for size in (16, 2):
        auroc, precision = BinaryAUROC(), BinaryAveragePrecision()
        for start in range(0, len(data), size):
            for metric in (auroc, precision):
                metric.update(data[start : start + size], labels[start : start + size])
        found[name, size] = float(auroc.compute()), float(precision.compute())
        print(f"{name}, batches of {size}: AUROC {found[name, size][0]:.3f}, average precision {found[name, size][1]:.3f}")
perfect = [found[key] == (1, 1) for key in (("logits", 16), ("sigmoid", 16), ("sigmoid", 2))]
sys.exit(0 if all(perfect) and found["logits", 2][0] == 0.75 else "The behaviour has changed.")
PY
