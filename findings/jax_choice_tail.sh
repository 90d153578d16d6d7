#!/usr/bin/env bash
# Guess:    jax.random.choice with p and replacement can draw each item whose probability is not 0.
# Happens:  a tenth of a million items with Zipf probabilities is never drawn, whatever the seed and however long.
#           Its uniforms have 23 bits (steps of 1.2e-7), and the rarest items have probabilities below one step.
#           The neighbours of an unreachable item are drawn twice as often as they should be, so totals look right.
# Versions: jax and jaxlib 0.10.2, on the CPU, 64-bit numbers off (the default).
# Matters:  choice over item counts is the obvious sampler of negatives; the logQ correction does not know which
#           tenth of the tail is never among them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.2.6
"$folder/venv/bin/python" - <<'PY'
import sys

import jax
import numpy as np

items, batches, size = 1_000_000, 30, 10_000_000
exact = 1 / np.arange(1, items + 1)
exact /= exact.sum()
draw = jax.jit(lambda key, p: jax.random.choice(key, items, (size,), p=p))
times = np.zeros(items, np.int64)
for batch in range(batches):
    times += np.bincount(draw(jax.random.key(batch), exact.astype("float32")), minlength=items)
due = batches * size * exact
missing = times == 0
print(f"jax {jax.__version__}: {batches * size:,} draws of {items:,} items, probability as 1/rank")
print(f"never drawn: {missing.sum():,} items; due that often: {np.exp(-due).sum():.4f} items")
print(f"the most popular of them is item {np.argmax(missing):,}, due {due[np.argmax(missing)]:.0f} times")
print(f"rarer half: drawn {times[items // 2 :].sum():,} times, due {due[items // 2 :].sum():,.0f}")
sys.exit(0 if missing.sum() > 50_000 and np.exp(-due).sum() < 1 else "The behaviour has changed.")
PY
