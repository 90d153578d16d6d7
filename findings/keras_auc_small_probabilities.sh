#!/usr/bin/env bash
# Guess:    AUC() of a perfect ranking is 1.0, or a little less, since 200 thresholds approximate the curve.
# Happens:  it is 0.5 if all probabilities are below 0.005: the thresholds are 1/199 apart from 0 to 1, and scores between
#           two of them are ties.
# Versions: keras 3.12.0, jax 0.10.2.
# Matters:  click rates of 0.1 % and probabilities over a catalog are that small. Early stopping by val_auc then stops a model
#           that learns. More thresholds help little, and from_logits=True not at all: its sigmoid comes before the same
#           thresholds. Scores that are replaced by rank / rows, or another library's AUC, are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.12.0 jax==0.10.2 numpy==2.4.6 scipy==1.17.1
export KERAS_BACKEND=jax KERAS_HOME="$folder" OPENBLAS_NUM_THREADS=1 JAX_PLATFORMS=cpu
"$folder/venv/bin/python" - <<'PY'
import sys

import keras
import numpy as np


def auc(scores, labels, **settings):
    metric = keras.metrics.AUC(**settings)
    metric.update_state(labels, scores)
    return float(metric.result())


rows = 10_000
ranks = np.arange(rows) / rows
labels = (ranks >= 0.99).astype("float32")  # one of a hundred is positive, and all of these have the highest scores
print(f"Keras {keras.__version__}: a perfect ranking of {rows:,} rows, one of a hundred positive")
found = {}
for highest in (1.0, 0.1, 0.02, 0.004):
    found[highest] = auc(ranks * highest, labels)
    print(f"probabilities up to {highest}: AUC {found[highest]:.3f}")
finer = auc(ranks * 0.004, labels, num_thresholds=1000)
logits = auc(np.log(ranks * 0.004 + 1e-9), labels, from_logits=True)
print(f"up to 0.004, with 1,000 thresholds: {finer:.3f}; from logits: {logits:.3f}")
as_found = found[1.0] > 0.98 and found[0.004] == 0.5 and logits == 0.5 and finer < 0.95
sys.exit(0 if as_found else "The behaviour has changed.")
PY
