#!/usr/bin/env bash
# Guess:    `load_model` of a SavedModel brings back the optimizer's state, which its folder holds, and training goes on.
# Happens:  the loaded Adam has no moments and begins at step 0. The formats .h5 and .keras bring them back, and so does
#           `load_weights` of the folder's variables/variables. Old and new Adam are alike.
# Versions: TensorFlow 2.12.0.
# Matters:  training that goes on each day from yesterday's model starts Adam anew each day. No warning says
#           so: the model is compiled and trains, with other steps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow-cpu==2.12.0 keras==2.12.0 jax==0.4.30 jaxlib==0.4.30 scipy==1.11.4 protobuf==4.25.9 h5py==3.11.0 numpy==1.23.5
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=""
cd "$folder"
venv/bin/python -W ignore - 2>log <<'PY' || { tail -n 5 log >&2; exit 1; }
import sys

import numpy as np
import tensorflow as tf

x, y = np.ones([32, 2], "float32"), np.ones([32, 1], "float32")


def follows(model, loaded):
    """Whether both have the same weights after one more step of training."""
    for each in (model, loaded):
        each.train_on_batch(x, y)
    return all(np.allclose(mine, theirs, atol=1e-7) for mine, theirs in zip(model.get_weights(), loaded.get_weights()))


print(f"TensorFlow {tf.__version__}: four steps of Adam, saved and loaded, and a fifth step")
found = {}
for optimizer in (tf.keras.optimizers.legacy.Adam, tf.keras.optimizers.Adam):
    for form in ("model", "model.h5", "model.keras", "model, load_weights"):
        model = tf.keras.Sequential([tf.keras.Input([2]), tf.keras.layers.Dense(1)])
        model.compile(optimizer(), "mse")
        model.fit(x, y, batch_size=8, verbose=0)
        path = form.split(",")[0]
        model.save(path)
        loaded = tf.keras.models.load_model(path)
        if "load_weights" in form:
            loaded.load_weights("model/variables/variables").expect_partial()
        steps = int(loaded.optimizer.iterations)
        found[optimizer, form] = steps, follows(model, loaded)
        print(f"{optimizer.__module__}, {form}: step {steps}, goes on as before: {found[optimizer, form][1]}")
as_found = all(result == ((0, False) if form == "model" else (4, True)) for (_, form), result in found.items())
sys.exit(0 if as_found else "The behaviour has changed.")
PY
