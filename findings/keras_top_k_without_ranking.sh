#!/usr/bin/env bash
# Guess:    a model that gives each class the same score has a top-10 accuracy of 10 over the number of classes; one that gives NaN
#           has 0, or NaN.
# Happens:  both have 1.0, for k=1 as well, where the plain accuracy says 0.01 or so. A class is in the top k unless k others
#           are greater, which none is. (On the TensorFlow backend, equal scores give 1.0 and NaN gives 0.)
# Versions: Keras 3.12.0, jax 0.10.2.
# Matters:  a retrieval model that has collapsed or diverged gets the best value of all, so that early stopping and the choice of
#           the checkpoint keep it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.12.0 jax==0.10.2 jaxlib==0.10.2 numpy==2.2.6
export KERAS_BACKEND=jax KERAS_HOME="$folder"
"$folder/venv/bin/python" - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import sys

import keras
import numpy as np

classes = 100
labels = np.arange(classes)
scores = {
    "equal": np.zeros((classes, classes), "float32"),
    "NaN": np.full((classes, classes), np.nan, "float32"),
    "random": np.random.default_rng(17).normal(size=(classes, classes)).astype("float32"),
}
print(f"Keras {keras.__version__} on {keras.backend.backend()}: {classes} classes, one row of each")
found = {}
for name, values in scores.items():
    metrics = keras.metrics.SparseCategoricalAccuracy(), *(keras.metrics.SparseTopKCategoricalAccuracy(k) for k in (1, 10))
    for metric in metrics:
        metric.update_state(labels, values)
    found[name] = [float(metric.result()) for metric in metrics]
    print("{} scores: accuracy {:.2f}, top-1 accuracy {:.2f}, top-10 accuracy {:.2f}".format(name, *found[name]))
as_found = all(found[name][0] < 0.02 and found[name][1:] == [1.0, 1.0] for name in ("equal", "NaN")) and max(found["random"]) < 0.3
sys.exit(0 if as_found else "The behaviour has changed.")
PY
