#!/usr/bin/env bash
# Guess:    ListMLELoss of a positive and its negatives pushes all negatives down alike, as their labels are equal: it is a softmax
#           loss then. A list without a positive has no loss.
# Happens:  equal labels stay in the order of the list, and the loss asks for that order. Of four negatives with equal scores, the
#           first two are pulled up, and the last is pushed down six times as much as by a softmax. Five zeros have a
#           loss of 4.8, and the same gradient.
# Versions: keras-rs 0.4.0, keras 3.12.0, jax 0.10.2.
# Matters:  the model learns the order in which negatives were drawn or stored: by id, by popularity, or by time. If
#           that order is random, half of the gradient is noise. Use the softmax loss, or shuffle each list in each step.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras-rs==0.4.0 keras==3.12.0 jax==0.10.2 jaxlib==0.10.2 numpy==2.2.6
export KERAS_BACKEND=jax KERAS_HOME="$folder" JAX_PLATFORMS=cpu
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import jax
import jax.numpy as jnp
import keras_rs
import numpy as np
from jax.nn import log_softmax


def gradient(loss, labels, scores):
    return np.asarray(jax.grad(lambda x: loss(labels, x))(scores))[0]


list_mle = keras_rs.losses.ListMLELoss()
softmax = lambda labels, scores: -(labels * log_softmax(scores)).sum()
labels, scores = jnp.array([[1.0, 0, 0, 0, 0]]), jnp.zeros((1, 5))
print(f"keras-rs {version('keras-rs')}: gradients of five equal scores, the first of the positive item (below 0 pulls up)")
found, right = gradient(list_mle, labels, scores), gradient(softmax, labels, scores)
print("ListMLELoss:", found.round(2))
print("softmax:    ", right.round(2))
none = jnp.zeros_like(labels)
print(f"without a positive: a loss of {float(list_mle(none, scores)):.2f}, gradients {gradient(list_mle, none, scores).round(2)}")

table = jnp.zeros(100)
for _ in range(200):
    table -= 0.1 * jax.grad(lambda x: list_mle(jnp.eye(1, 100), x[None]))(table)
order = np.corrcoef(np.asarray(table)[1:], -np.arange(1, 100))[0, 1]
print(f"99 negatives in order of id, 200 steps: item 1 has a score of {table[1]:.2f}, item 99 of {table[99]:.2f}; correlation with the order {order:.2f}")
pulled_up = found[1] < 0 and found[2] < 0 and found[4] > 5 * right[4]
sys.exit(0 if pulled_up and order > 0.5 and float(list_mle(none, scores)) > 1 else "The behaviour has changed.")
PY
