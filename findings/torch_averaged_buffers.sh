#!/usr/bin/env bash
# Guess:    AveragedModel(model, use_buffers=True) leaves a buffer that never changes as it is: the mean of equal values
#           is that value. Integer buffers are copied, or refused.
# Happens:  integer buffers are averaged in float32. Constant ids come out changed: by 1 above 2**24 with the plain mean,
#           by tens of thousands at 2**40. The exponential mean changes some ids below 2**24 as well.
# Versions: torch 2.13.0, on the CPU.
# Matters:  tables of item ids, seeds of samplers and multipliers of hashes are integer buffers. In the averaged model they
#           point to other items. A test with small ids does not show it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==1.26.4
"$folder/venv/bin/python" - <<'PY'
import sys

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def changed(first, average):
    """Returns how many of 10,000 constant ids differ after ten updates, and by how much at most."""
    model = torch.nn.Linear(1, 1)
    model.register_buffer("ids", first + 1001 * torch.arange(10_000))
    averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
    for _ in range(10):
        averaged.update_parameters(model)
    difference = (averaged.module.ids - model.ids).abs()
    return int((difference > 0).sum()), int(difference.max())


print(f"torch {torch.__version__}: 10,000 constant int64 ids in a buffer, ten updates of the averaged model")
found = {}
for name, average in (("mean", None), ("exponential", get_ema_multi_avg_fn(0.999))):
    for first in (0, 2**24, 2**40):
        count, most = found[name, first] = changed(first, average)
        print(f"{name:11}, ids from {first:,} on: {count:,} ids changed, by up to {most:,}")
as_found = found["mean", 0][0] == 0 and all(found[name, 2**40][0] > 5_000 for name in ("mean", "exponential"))
sys.exit(0 if as_found else "The behaviour has changed.")
PY
