#!/usr/bin/env bash
# Guess:    two layers that hold one Embedding and give keras.layers.serialize(embedding) in get_config are loaded with one
#           shared Embedding, as a functional model is that uses a layer twice.
# Happens:  save succeeds, load_model raises "Layer 'table' expected 1 variables, but received 0". A model with one
#           such layer is saved and loaded without fault.
#           Keras marks the first configuration as shared when it meets the object again, after that one was copied.
# Versions: Keras 3.12.0, jax 0.10.2.
# Matters:  towers, losses and output heads share item tables. The model trains and is saved for days before it turns
#           out that the file cannot be loaded.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.12.0 jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
export KERAS_BACKEND=jax KERAS_HOME="$folder"
cd "$folder"
venv/bin/python - <<'PY'
import sys

import keras
import numpy as np


@keras.saving.register_keras_serializable()
class Holder(keras.layers.Layer):
    def __init__(self, table, **kwargs):
        super().__init__(**kwargs)
        self.table = table

    def build(self, shape):
        if not self.table.built:
            self.table.build(shape)

    def call(self, ids):
        return self.table(ids)

    def get_config(self):
        return {**super().get_config(), "table": keras.layers.serialize(self.table)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.layers.deserialize(config.pop("table")), **config)


print(f"Keras {keras.__version__}: layers that hold the same Embedding, saved and loaded")
found = {}
for holders in (1, 2):
    table, ids = keras.layers.Embedding(5, 2, name="table"), keras.Input([], dtype="int32")
    outputs = [Holder(table)(ids) for _ in range(holders)]
    model = keras.Model(ids, outputs)
    model.save("model.keras")
    try:
        loaded = keras.models.load_model("model.keras")
        found[holders] = np.array_equal(loaded.get_weights(), model.get_weights())
        print(f"{holders} layer(s): loaded, weights equal: {found[holders]}")
    except ValueError as error:
        found[holders] = str(error)
        print(f"{holders} layer(s): saved, but not loaded: {next(x for x in str(error).splitlines() if 'received' in x)}")
as_found = found[1] is True and "received 0 variables" in str(found[2])
sys.exit(0 if as_found else "The behaviour has changed.")
PY
