#!/usr/bin/env bash
# Guess:    an item that occurs n times in a batch has one gradient, the sum of its n rows. Adam takes a step of about the
#           learning rate for it, as for each item, and as it does for a dense gradient.
# Happens:  the rows of a sparse gradient are squared before they are summed. The second moment of an item that occurs 100 times
#           is a hundredth of the true one, and Adam's step is ten times the learning rate. AdamW, Nadam, RMSprop, Adagrad
#           and Adadelta do the same; SGD and Lion are right. Keras 2 sums the rows first.
# Versions: keras 3.15.1, TensorFlow 2.20.0, with and without XLA.
# Matters:  popular items fill a batch, as positives and as negatives. Their vectors overshoot, the more so the larger the batch,
#           while rare items learn as expected. A dense gradient, as in the class `Dense` below, cures it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 tensorflow-cpu==2.20.0 numpy==2.4.6
export KERAS_HOME="$folder" KERAS_BACKEND=tensorflow TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" - <<'PY'
import sys

import keras
import numpy as np
import tensorflow as tf

tf.get_logger().setLevel("ERROR")
ITEMS = np.array([0] * 100 + [1])
RATE = 0.01


def dense(optimizer):
    """Returns a class that gets dense gradients, in which the rows of an item are summed."""

    class Dense(optimizer):
        def apply(self, grads, trainable_variables=None):
            return super().apply([tf.convert_to_tensor(grad) for grad in grads], trainable_variables)

    return Dense


def moved(optimizer):
    """Returns how far items 0 and 1 move in one batch, by `Model.fit`."""
    model = keras.Sequential([keras.layers.Embedding(2, 4, embeddings_initializer="zeros")])
    model.compile(optimizer(RATE), "mse")
    model.fit(ITEMS[:, None], np.ones((len(ITEMS), 1, 4), "float32"), batch_size=len(ITEMS), verbose=0)
    return np.abs(model.trainable_variables[0].numpy()[:, 0])


print(f"keras {keras.__version__}, TensorFlow {tf.__version__}: a batch with item 0 a hundred times and item 1 once")
found = {}
for name in ("Adam", "RMSprop", "Adagrad", "SGD", "Lion"):
    optimizer = getattr(keras.optimizers, name)
    sparse, summed = moved(optimizer), moved(dense(optimizer))
    found[name] = sparse[0] / summed[0]
    print(f"{name:8} item 0 moves {sparse[0]:.5f} and item 1 {sparse[1]:.5f}; with a dense gradient {summed[0]:.5f} and {summed[1]:.5f}")
wrong = found["Adam"] > 9 and found["RMSprop"] > 9 and found["Adagrad"] > 1.5
right = all(abs(found[name] - 1) < 1e-3 for name in ("SGD", "Lion"))
sys.exit(0 if wrong and right else "The behaviour has changed.")
PY
