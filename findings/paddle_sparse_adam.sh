#!/usr/bin/env bash
# Guess:    Adam of an Embedding(sparse=True) makes the same steps as of a dense one, as long as lazy_mode is False: sparse says how
#           the gradient is stored.
# Happens:  with sparse gradients, the bias correction is that of the next step. The first step is 0.74 of the learning rate
#           in place of 1, the second 0.86, the tenth 0.995. SGD and Adagrad have no such difference.
# Versions: paddlepaddle 3.3.1, on the CPU.
# Matters:  sparse=True is for large tables of items. A run with it does not repeat a dense one, nor one of another library, at
#           the same learning rate and seed: the first steps are shorter, and all later ones follow from them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check paddlepaddle==3.3.1 numpy==2.4.6 setuptools==80.9.0
export OMP_NUM_THREADS=1 GLOG_minloglevel=2
"$folder/venv/bin/python" -W ignore - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import sys

import numpy as np
import paddle

RATE, STEPS = 0.1, 10


def steps(optimizer, sparse, **options):
    """Returns the moves of an item, in learning rates, whose gradient is 1 in each step."""
    table = paddle.nn.Embedding(4, 1, sparse=sparse)
    table.weight.set_value(np.zeros((4, 1), "float32"))
    updates = optimizer(RATE, parameters=table.parameters(), **options)
    weights = [0.0]
    for _ in range(STEPS):
        table(paddle.to_tensor([2])).sum().backward()
        updates.step()
        updates.clear_grad()
        weights.append(float(table.weight[2, 0]))
    return -np.diff(weights) / RATE


print(f"paddlepaddle {paddle.__version__}: moves of an item whose gradient is always 1, in learning rates")
found = {}
for name, optimizer, options in (
    ("Adam", paddle.optimizer.Adam, {"lazy_mode": False}),
    ("SGD", paddle.optimizer.SGD, {}),
    ("Adagrad", paddle.optimizer.Adagrad, {}),
):
    for sparse in (False, True):
        found[name, sparse] = moves = steps(optimizer, sparse, **options)
        print(f"{name}, sparse={sparse}: {', '.join(f'{move:.3f}' for move in moves[:4])}, ..., {moves[-1]:.3f}")
t = np.arange(2, STEPS + 2)
expected = (1 - 0.9 ** (t - 1)) / (1 - 0.9**t) * np.sqrt((1 - 0.999**t) / (1 - 0.999 ** (t - 1)))
print(f"with the bias correction of the next step: {', '.join(f'{move:.3f}' for move in expected[:4])}, ..., {expected[-1]:.3f}")
as_found = np.allclose(found["Adam", False], 1, atol=1e-3) and np.allclose(found["Adam", True], expected, atol=1e-3)
as_found = as_found and all(np.allclose(found[name, False], found[name, True]) for name in ("SGD", "Adagrad"))
sys.exit(0 if as_found else "The behaviour has changed.")
PY
