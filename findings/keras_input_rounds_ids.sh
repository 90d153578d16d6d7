#!/usr/bin/env bash
# Guess:    integer ids reach an Embedding as integers, however the model's Input is declared.
# Happens:  `keras.Input((1,))` has the type float32, and the model rounds ids to it without a warning: of two neighbours above
#           2**24, one gets the vector of the other. A Sequential model that begins with an Embedding does so, too.
#           The layer alone is right, and so is a model whose Input has dtype="int32".
# Versions: keras 3.12.0 with jax 0.10.2 (this script); 3.15.1 with TensorFlow 2.20.0 does the same.
# Matters:  tests with small ids pass. In a table of more than 16.7 million items, every other item beyond that is trained and
#           served as its neighbour.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.12.0 jax==0.10.2 jaxlib==0.10.2 numpy==2.2.6
export KERAS_BACKEND=jax KERAS_HOME="$folder" JAX_PLATFORMS=cpu
"$folder/venv/bin/python" - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import sys
from importlib.metadata import version

import keras
import numpy as np

start = 2**24
ids = np.arange(start, start + 4, dtype="int32")[:, None]
rows = np.zeros((start + 8, 1), "float32")
rows[start:, 0] = np.arange(8)
embedding = keras.layers.Embedding(len(rows), 1)
embedding.build()
embedding.set_weights([rows])


def model(**options):
    inputs = keras.Input((1,), **options)
    return keras.Model(inputs, embedding(inputs))


models = {
    "the layer alone": embedding,
    'Input((1,), dtype="int32")': model(dtype="int32"),
    "Input((1,))": model(),
    "Sequential([Embedding])": keras.Sequential([embedding]),
}
print(f"Keras {keras.__version__}, jax {version('jax')}: ids {start:,} to {start + 3:,}, whose vectors are 0, 1, 2, 3")
found = {}
for name, each in models.items():
    found[name] = np.asarray(each(ids)).astype(int).ravel().tolist()
    print(f"{name}: {found[name]}")
right, rounded = [0, 1, 2, 3], [0, 0, 2, 4]
sys.exit(0 if list(found.values()) == [right, right, rounded, rounded] else "The behaviour has changed.")
PY
