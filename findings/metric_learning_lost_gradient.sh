#!/usr/bin/env bash
# Guess:    NTXentLoss is the cross-entropy of the positive among the negatives: the worse a positive is ranked, the more gradient it gets.
# Happens:  it takes the logarithm of a softmax in float32. Where the positive's score is 88 or more below the best negative, the loss
#           stops at 87.3 and the gradient is 0. At temperature 0.01, this is a cosine that is lower by 0.88. SupConLoss, the same for one
#           positive, is right.
# Versions: pytorch-metric-learning 2.9.0, torch 2.13.0, numpy 2.4.6.
# Matters:  a temperature of 0.01 is where CLIP and many retrievers end. The worst positives, here 30 % of a batch of 256, are not
#           pulled up, and their negatives are not pushed down. The loss stays finite, so that nothing shows it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pytorch-metric-learning==2.9.0 torch==2.13.0 numpy==2.4.6
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import torch
from pytorch_metric_learning.losses import NTXentLoss, SupConLoss

print(", ".join(f"{name} {version(name)}" for name in ("pytorch-metric-learning", "torch")))
torch.manual_seed(17)
pairs, width = 256, 8
users = torch.nn.functional.normalize(torch.randn(pairs, width))
items = torch.nn.functional.normalize(torch.randn(pairs, width))
labels = torch.arange(pairs)


class CrossEntropy:
    def __init__(self, temperature):
        self.temperature = temperature

    def __call__(self, user, label, ref_emb, ref_labels):
        return torch.nn.functional.cross_entropy(user @ ref_emb.T / self.temperature, label)


found = {}
for temperature in (0.1, 0.01):
    for make in (NTXentLoss, SupConLoss, CrossEntropy):
        loss = make(temperature)
        values, moved = [], 0
        for row in range(pairs):
            table = items.clone().requires_grad_()
            value = loss(users[row : row + 1], labels[row : row + 1], ref_emb=table, ref_labels=labels)
            value.backward()
            values.append(value.item())
            moved += bool(table.grad[row].abs().sum() > 0)
        found[temperature, make.__name__] = moved / pairs
        print(
            f"temperature {temperature}, {make.__name__}: loss {sum(values) / pairs:.1f}, at most {max(values):.1f}; "
            f"{moved / pairs:.0%} of {pairs} positives get a gradient"
        )
lost = {key for key, share in found.items() if share < 1}
as_found = lost == {(0.01, "NTXentLoss")} and found[0.01, "NTXentLoss"] < 0.9
sys.exit(0 if as_found else "The behaviour has changed.")
PY
