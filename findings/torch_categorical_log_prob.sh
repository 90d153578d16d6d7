#!/usr/bin/env bash
# Guess:    Categorical(probs=counts).log_prob(item) is the logarithm of the item's share, as Categorical(logits=counts.log()) gives.
# Happens:  float32 probabilities are clamped to 1.2e-7, the distance of 1 to the next number, before the logarithm. Of ten million
#           Zipf items, 95 % have one log_prob, up to 3 nats too large. An item of count 0 has -15.9 as well, not -inf.
#           `probs`, and sample(), are not clamped; with logits all is right. OneHotCategorical does the same.
# Versions: torch 2.4.1, 2.13.0 and 2.15.0 (this script: 2.13.0). numpyro 0.22.0 and distrax 0.1.9 do not.
# Matters:  log_prob is the natural way to the logQ correction. It then is one constant for the tail: rare items, which
#           are drawn least, are corrected too little, and items that are never drawn look as if they were.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import torch
from torch.distributions import Categorical

ITEMS = 10_000_000
counts = (1e9 / torch.arange(1, ITEMS + 1, dtype=torch.float64)).round()
true = (counts / counts.sum()).log()
ids = torch.arange(ITEMS)
print(f"torch {torch.__version__}: {ITEMS:,} items with Zipf counts from {counts[0]:,.0f} to {counts[-1]:,.0f}")
found = {}
for name, distribution in (
    ("probs, float32", Categorical(probs=counts.float())),
    ("logits, float32", Categorical(logits=counts.log().float())),
    ("probs, float64", Categorical(probs=counts)),
):
    log_probs = distribution.log_prob(ids).double()
    equal = (log_probs == log_probs.min()).double().mean()
    found[name] = float(equal), float((log_probs - true).abs().max())
    print(f"{name}: log_prob of the last item {log_probs[-1]:.2f} (true {true[-1]:.2f}), {equal:.1%} of items share the minimum")
zero = Categorical(probs=torch.tensor([3.0, 1.0, 0.0])).log_prob(torch.tensor(2))
print(f"an item of count 0: {zero:.2f}")
clamped = found["probs, float32"][0] > 0.9 and found["probs, float32"][1] > 2.5 and zero > -16
right = all(found[name][1] < 1e-3 for name in ("logits, float32", "probs, float64"))
sys.exit(0 if clamped and right else "The behaviour has changed.")
PY
