#!/usr/bin/env bash
# Guess:    the sampling probability correction subtracts log(probability) from each candidate's logit, down to probabilities
#           that float32 can hold.
# Happens:  probabilities are first raised to 1e-6. In a catalogue of ten million items with 1/rank probabilities, all but
#           the first 60,000 get one and the same correction, however different they are.
# Versions: keras-rs 0.4.0 (Keras 3.12.0, jax 0.10.2). tensorflow-recommenders 0.7.7 clips at 1e-6 too (read).
# Matters:  within the tail, popular items are pushed down more than rare ones, as without a correction. No error, and a
#           test with a small catalogue does not show it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  keras-rs==0.4.0 keras==3.12.0 jax==0.10.2 jaxlib==0.10.2 numpy==2.2.6
export KERAS_BACKEND=jax KERAS_HOME="$folder"
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import keras_rs
import numpy as np

items = 10_000_000
probability = 1 / np.arange(1, items + 1)
probability /= probability.sum()
ranks = np.array([1, 100, 10_000, 100_000, 1_000_000, items])
chosen = probability[ranks - 1].astype("float32")
layer = keras_rs.layers.SamplingProbabilityCorrection()
corrected = np.asarray(layer(np.zeros((1, len(ranks)), "float32"), chosen))[0]
print(f"keras-rs {version('keras-rs')}: {items:,} items, probability as 1/rank")
print(f"items with a probability below 1e-6: {(probability < 1e-6).sum():,}")
for rank, exact, added in zip(ranks, -np.log(chosen), corrected):
    print(f"rank {rank:10,}: -log(probability) {exact:5.2f}, added to the logit {added:5.2f}")
as_found = np.ptp(corrected[3:]) == 0 and np.allclose(corrected[:3], -np.log(chosen[:3]), rtol=1e-4)
sys.exit(0 if as_found else "The behaviour has changed.")
PY
