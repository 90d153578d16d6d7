#!/usr/bin/env bash
# Guess:    with_format("torch") or with_format("numpy") keeps the types of the columns: float64 stays float64, as in a
#           DataLoader of the same data set without a format, and an item id is an integer, or else missing.
# Happens:  float64 becomes float32 without a warning. Unix times are then multiples of 128 seconds. With "numpy", a column of
#           integers that has a missing value in the batch is float32, too: ids above 2**24 are ids of other items.
#           with_format("torch", dtype=torch.float64) keeps float64.
# Versions: datasets 5.2.0, torch 2.13.0.
# Matters:  events within two minutes have one time: the order of a session, a split by time, and the seconds since the last
#           click are lost. Whether an id is right depends on a missing value elsewhere in its batch.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1 torch==2.13.0 numpy==2.4.6
export HF_HUB_OFFLINE=1 HF_HOME="$folder/home" OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import datasets
import numpy as np
import torch

FIRST = 1_700_000_000.0
events = datasets.Dataset.from_dict(
    {"time": [FIRST + second for second in range(600)], "item": [2**24 + number for number in range(599)] + [None]}
)
print(f"datasets {datasets.__version__}: 600 events in 600 seconds, ids from 2**24 on, the last one missing; types {events.features}")
times = {
    "torch": events.select_columns("time").with_format("torch")[:]["time"],
    "numpy": events.with_format("numpy")[:]["time"],
    "torch, dtype=torch.float64": events.select_columns("time").with_format("torch", dtype=torch.float64)[:]["time"],
    "none, in a DataLoader": next(iter(torch.utils.data.DataLoader(events.select_columns("time"), batch_size=600)))["time"],
}
distinct = {name: len(np.unique(np.asarray(column))) for name, column in times.items()}
for name, column in times.items():
    print(f"format {name}: {column.dtype}, {distinct[name]} distinct times")
ids = events.with_format("numpy")
without, with_missing = ids[:599]["item"], ids[:]["item"][:599]
right = [int((column == 2**24 + np.arange(599)).sum()) for column in (without, with_missing)]
print(f"format numpy: of 599 ids, {right[0]} are right ({without.dtype}); with the missing one in the batch, {right[1]} ({with_missing.dtype})")
as_found = list(distinct.values()) == [6, 6, 600, 600] and right[0] == 599 and right[1] < 400
sys.exit(0 if as_found else "The behaviour has changed.")
PY
