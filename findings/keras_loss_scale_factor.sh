#!/usr/bin/env bash
# Guess:    `loss_scale_factor`, an argument of every optimizer, multiplies the loss and divides the gradients, whatever
#           layers a model has. `LossScaleOptimizer` does so.
# Happens:  a model with an Embedding stops in its first step: "unsupported operand type(s) for /: 'IndexedSlices' and
#           'float'". With LossScaleOptimizer, clipping and gradient accumulation the same model trains.
# Versions: keras 3.15.1, tensorflow 2.20.0.
# Matters:  each recommender has an Embedding, and those that train in float16 are told to scale the loss.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 tensorflow-cpu==2.20.0 numpy==2.4.6
export KERAS_HOME="$folder" TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import sys

import keras
import numpy as np
import tensorflow as tf

print(f"keras {keras.__version__}, tensorflow {tf.__version__}: one step of Adam")
ids, targets = np.arange(8), np.zeros(8)
adam = keras.optimizers.Adam
optimizers = {
    "loss_scale_factor": lambda: adam(loss_scale_factor=8.0),
    "LossScaleOptimizer": lambda: keras.optimizers.LossScaleOptimizer(adam()),
    "global_clipnorm": lambda: adam(global_clipnorm=1.0),
    "gradient_accumulation_steps": lambda: adam(gradient_accumulation_steps=2),
}
layers = {"Embedding": lambda: keras.layers.Embedding(8, 1), "Dense": lambda: keras.layers.Dense(1)}
found = {}
for layer, name in [("Dense", "loss_scale_factor"), *(("Embedding", name) for name in optimizers)]:
    inputs = keras.Input([], dtype="int64") if layer == "Embedding" else keras.Input([1])
    model = keras.Sequential([inputs, layers[layer]()])
    model.compile(optimizers[name](), "mse")
    try:
        model.fit(ids if layer == "Embedding" else ids[:, None], targets, verbose=0)
        found[layer, name] = "trains"
    except TypeError as error:
        found[layer, name] = str(error)
    print(f"{layer}, {name}: {found[layer, name]}")
failed = found.pop(("Embedding", "loss_scale_factor"))
as_found = "'IndexedSlices' and 'float'" in failed and set(found.values()) == {"trains"}
sys.exit(0 if as_found else "The behaviour has changed.")
PY
