#!/usr/bin/env bash
# Guess:    a registered layer that holds another registered layer, with its configuration by keras.layers.serialize, is loaded from
#           a .h5 file as from the other formats. It was, up to TensorFlow 2.12.
# Happens:  "Unknown layer: 'Inner'". For .h5, the inner configuration is written in the new form, with class and package apart, but
#           read in the old form, by the class alone. The formats .keras and SavedModel load.
# Versions: tensorflow 2.20.0, tf_keras 2.20.1.
# Matters:  the file is written without a warning, and the weights are in it, but no program can open it as a model. One learns of
#           that when the training is over.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow==2.20.0 tf_keras==2.20.1 keras==3.12.0 numpy==2.2.6 protobuf==5.29.5 h5py==3.15.1
export TF_USE_LEGACY_KERAS=1 TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=""
cd "$folder"
venv/bin/python -W ignore - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import sys

import tensorflow as tf
import tf_keras


@tf_keras.utils.register_keras_serializable(package="mine")
class Inner(tf_keras.layers.Layer):
    def call(self, inputs):
        return 2.0 * inputs


@tf_keras.utils.register_keras_serializable(package="mine")
class Outer(tf_keras.layers.Layer):
    def __init__(self, inner, **options):
        super().__init__(**options)
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs)

    def get_config(self):
        return {**super().get_config(), "inner": tf_keras.layers.serialize(self.inner)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "inner": tf_keras.layers.deserialize(config["inner"])})


inputs = tf_keras.Input([3])
model = tf_keras.Model(inputs, Outer(Inner())(inputs))
print(f"TensorFlow {tf.__version__}, tf_keras {tf_keras.__version__}")
found = {}
for name in ("model.keras", "model", "model.h5"):
    model.save(name)
    try:
        loaded = tf_keras.models.load_model(name)
        found[name] = str(loaded(tf.ones([1, 3])).numpy().tolist())
    except ValueError as error:
        found[name] = str(error).split(".")[0]
    print(f"{name}: {found[name]}")
as_found = found["model.keras"] == found["model"] == "[[2.0, 2.0, 2.0]]" and found["model.h5"] == "Unknown layer: 'Inner'"
sys.exit(0 if as_found else "The behaviour has changed.")
PY
