#!/usr/bin/env bash
# Guess:    torch.multinomial with replacement draws each item in proportion to its weight, up to rounding.
# Happens:  with float32 weights over ten million items, four of five items are never drawn, and no error tells.
#           The running sum of the weights is float32 as well, so the small weights at its end no longer change it.
#           Zipf weights (1/rank) stop at item 2**21. float64 weights are drawn as they should be.
# Versions: torch 2.13.0, on the CPU.
# Matters:  popularity weights are float32 by default. The tail gets no negatives, while the logQ correction takes it
#           to be drawn; scores of rare items are never pushed down.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==1.26.4
"$folder/venv/bin/python" - <<'PY'
import sys

import torch

torch.manual_seed(17)
items, draws = 10_000_000, 4_000_000
weights = 1 / torch.arange(1, items + 1, dtype=torch.float64)
share = float(weights[items // 2 :].sum() / weights.sum())
found = {}
print(f"torch {torch.__version__}: {draws:,} draws of {items:,} items, weight 1/rank")
for dtype in (torch.float32, torch.float64):
    ids = torch.multinomial(weights.to(dtype), draws, replacement=True)
    found[dtype] = int((ids >= items // 2).sum())
    print(f"{dtype}: rarer half drawn {found[dtype]:,} times, due {draws * share:,.0f}; largest id {int(ids.max()):,}")
as_found = found[torch.float32] == 0 and abs(found[torch.float64] / (draws * share) - 1) < 0.02
sys.exit(0 if as_found else "The behaviour has changed.")
PY
