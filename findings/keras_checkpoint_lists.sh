#!/usr/bin/env bash
# Guess:    tf.train.Checkpoint(model=model) saves the weights of all layers of a model, also of layers in a list or dict that
#           is an attribute, as with Keras 2. If a weight has no value in the file, assert_consumed() raises an error.
# Happens:  with Keras 3 the file has no weight of layers in a list or a dict. Save and restore succeed, all assertions of the
#           status pass, and the restored model keeps its initial weights. Layers in a tuple or in attributes of their own
#           are saved. save_weights saves all of them.
# Versions: keras 3.15.1, tensorflow 2.21.0.
# Matters:  towers are often a list of layers. Training loops that resume by CheckpointManager go on with a tower of random
#           weights, and nothing tells. Use tuples, or model.save_weights.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 tensorflow==2.21.0 numpy==1.26.4
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES="" KERAS_HOME="$folder"
cd "$folder"
venv/bin/python - <<'PY'
import sys

import keras
import numpy as np
import tensorflow as tf

FORMS = {
    "a list": list,
    "a dict": lambda layers: dict(enumerate(layers)),
    "a tuple": tuple,
}


class Tower(keras.Model):
    def __init__(self, form):
        super().__init__()
        self.parts = FORMS[form](keras.layers.Dense(2) for _ in range(2))

    def call(self, rows):
        for part in self.parts.values() if isinstance(self.parts, dict) else self.parts:
            rows = part(rows)
        return rows


print(f"keras {keras.__version__}, tensorflow {tf.__version__}: two Dense layers in a model, saved and restored")
rows, found = np.ones((1, 2), "float32"), {}
for form in FORMS:
    trained, other, third = (Tower(form) for _ in range(3))
    expected, initial, _ = trained(rows), other(rows), third(rows)
    path = tf.train.Checkpoint(model=trained).save(f"{form}/checkpoint")
    held = sum("model" in name for name, _ in tf.train.list_variables(path))
    status = tf.train.Checkpoint(model=other).restore(path)
    status.assert_consumed()
    status.assert_existing_objects_matched()
    trained.save_weights(f"{form}/all.weights.h5")
    third.load_weights(f"{form}/all.weights.h5")
    found[form] = (
        held,
        np.array_equal(other(rows), expected),
        np.array_equal(other(rows), initial),
        np.array_equal(third(rows), expected),
    )
    print(
        f"layers in {form}: {held} of {len(trained.weights)} weights in the file, restored: {found[form][1]}, as initialized: "
        f"{found[form][2]}; by save_weights restored: {found[form][3]}"
    )
lost, kept = (0, False, True, True), (4, True, False, True)
sys.exit(0 if found == {"a list": lost, "a dict": lost, "a tuple": kept} else "The behaviour has changed.")
PY
