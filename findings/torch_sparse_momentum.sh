#!/usr/bin/env bash
# Guess:    SGD with momentum trains an Embedding(sparse=True), as the documentation of Embedding says of SGD. The momentum has
#           one row for each item at most, so that the last step costs what an early step costs.
# Happens:  the momentum is a sparse tensor to which each step appends its rows. Rows of one item are never summed: after 1,000
#           steps a table of 1,000 rows has a momentum of 245,000, and a step takes over 20 times as long. The vectors are right.
# Versions: torch 2.13.0, on the CPU.
# Matters:  training slows down from step to step, and ends without memory. With 8,192 rows of 128 numbers in a step it
#           takes up to 42 GB more in 10,000 steps. Each checkpoint holds the momentum, too. Train without momentum, or replace it
#           in the optimizer's state by its `coalesce()` now and then.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==1.26.4
export OMP_NUM_THREADS=1
"$folder/venv/bin/python" -W ignore - <<'PY'
import io
import sys
import time

import torch

ROWS, BATCH = 1_000, 256


def trained(sparse):
    """Trains 1,000 steps; returns the vectors, the momentum, and the time of the first and the last 100 steps."""
    torch.manual_seed(17)
    table = torch.nn.Embedding(ROWS, 16, sparse=sparse)
    optimizer = torch.optim.SGD(table.parameters(), lr=0.01, momentum=0.9)
    begins = []
    for step in range(1001):
        if step % 100 == 0:
            begins.append(time.process_time())
        if step < 1000:
            optimizer.zero_grad()
            table(torch.randint(ROWS, (BATCH,))).square().sum().backward()
            optimizer.step()
    momentum = optimizer.state[table.weight]["momentum_buffer"]
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    return table.weight.detach(), momentum, begins[1] - begins[0], begins[-1] - begins[-2], len(file.getvalue())


print(f"torch {torch.__version__}: SGD with momentum, a table of {ROWS:,} rows, {BATCH} of them in each step, 1,000 steps")
dense, _, *times, size = trained(sparse=False)
print(f"dense:  the last 100 steps take {times[1] / times[0]:.1f} times as long as the first; a checkpoint of {size:,} bytes")
sparse, momentum, *times, size = trained(sparse=True)
print(f"sparse: the last 100 steps take {times[1] / times[0]:.1f} times as long as the first; a checkpoint of {size:,} bytes")
rows = momentum._nnz()
print(f"the momentum has {rows:,} rows; summed by item, {momentum.coalesce()._nnz():,}")
same = torch.allclose(dense, sparse, atol=1e-6)
print(f"the vectors are {'those' if same else 'not those'} of the dense table")
sys.exit(0 if rows > 100 * ROWS and same else "The behaviour has changed.")
PY
