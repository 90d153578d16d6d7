#!/usr/bin/env bash
# Guess:    a label of -1, as data loaders write it for padding, is refused or left out of the loss, as PyTorch's and
#           TensorFlow's cross-entropies do with labels that they do not know.
# Happens:  softmax_cross_entropy_with_integer_labels takes it for the last class, and its gradient pulls the last item up. A label
#           that is too large gives NaN.
# Versions: optax 0.2.8, jax 0.10.2.
# Matters:  where ids are ordered by frequency, the last is the rarest item: each padded position trains the model to recommend
#           it. The loss is finite and falls.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check optax==0.2.8 jax==0.10.2 jaxlib==0.10.2 numpy==2.2.6
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

logits = jnp.zeros(5)
print(f"optax {optax.__version__}, jax {jax.__version__}: five classes, equal logits")
found = {}
for label in (4, -1, -2, 5):
    loss, gradient = jax.value_and_grad(optax.softmax_cross_entropy_with_integer_labels)(logits, jnp.array(label))
    found[label] = np.append(gradient, loss)
    print(f"label {label:2}: loss {loss:.3f}, gradient of the logits {np.round(gradient, 2).tolist()}")
as_found = np.array_equal(found[-1], found[4]) and np.isfinite(found[-2]).all() and np.isnan(found[5][-1])
sys.exit(0 if as_found else "The behaviour has changed.")
PY
