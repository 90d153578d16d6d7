#!/usr/bin/env bash
# Guess:    RemoveAccidentalHits lowers the logits of candidates that are the row's positive item again (by 1e9 or so), or sets
#           them to 0, as its docstring says.
# Happens:  it adds 1.2e-40, so that float32 logits stay what they were, to the last bit. Nothing is masked.
# Versions: keras-rs 0.4.0, Keras 3.12.0, jax 0.10.2.
# Matters:  with popularity sampling the positive item is often among the negatives, and is pushed down by its own loss.
#           Training runs and looks healthy.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras-rs==0.4.0 keras==3.12.0 jax==0.10.2 jaxlib==0.10.2 numpy==2.2.6
export KERAS_BACKEND=jax KERAS_HOME="$folder"
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import keras
import keras_rs
import numpy as np

logits = np.array([[2.0, 1.0, 0.5, 1.5]], "float32")
labels = np.array([[1.0, 0.0, 0.0, 0.0]], "float32")
candidates = np.array([7, 3, 7, 9])
masked = np.asarray(keras_rs.layers.RemoveAccidentalHits()(logits, labels, candidates))
print(f"keras-rs {version('keras-rs')}, Keras {keras.__version__}: the positive item 7 is candidate 0, and again candidate 2")
print(f"logits before {logits.tolist()}")
print(f"logits after  {masked.tolist()}")
before, after = (float(keras.ops.softmax(x)[0, 2]) for x in (logits, masked))
print(f"softmax probability of the accidental hit: before {before:.4f}, after {after:.4f}")
sys.exit(0 if np.array_equal(logits, masked) else "The behaviour has changed.")
PY
