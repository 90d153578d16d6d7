#!/usr/bin/env bash
# Guess:    clipnorm=1 in an optimizer, or tf.clip_by_global_norm, makes the gradient of an embedding table at most 1 long.
# Happens:  an item that occurs n times in a batch has n rows in the sparse gradient. They are clipped as if they were n
#           items, and summed after that: n equal rows are up to sqrt(n) too long. The dense gradient is clipped right.
#           clipvalue=0.5 lets n * 0.5 through. (PyTorch sums the rows of a sparse gradient first.)
# Versions: TensorFlow 2.20.0, Keras 3.12.0 (TensorFlow 2.12.1 with Keras 2 does the same).
# Matters:  popular items fill a batch, so clipping is weakest where gradients are largest. Results change where the table
#           moves to another layer that makes its gradient dense.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-cpu==2.20.0 keras==3.12.0 numpy==1.26.4
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES="" KERAS_BACKEND=tensorflow KERAS_HOME="$folder"
"$folder/venv/bin/python" - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import sys

import keras
import numpy as np
import tensorflow as tf

occurrences = 100


def gradients():
    """Yields the gradient of a table of ten items in both forms; item 0 occurs in each row of the batch."""
    for form, gather in (("sparse", tf.gather), ("dense", lambda table, ids: tf.one_hot(ids, 10) @ table)):
        table = tf.Variable(tf.zeros((10, 4)))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(gather(table, tf.zeros(occurrences, tf.int32)))
        yield form, tape.gradient(loss, table)


print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}: one item {occurrences} times in a batch, a step of SGD(1.0)")
found = {}
for form, gradient in gradients():
    kind = type(gradient).__name__
    clipped, norm = tf.clip_by_global_norm([gradient], 1.0)
    found["clip_by_global_norm", form] = np.linalg.norm(tf.convert_to_tensor(clipped[0]))
    print(f"{form} ({kind}): clip_by_global_norm(1.0) sees a norm of {norm:.1f} and returns {found['clip_by_global_norm', form]:.1f}")
    for name in ("clipnorm", "global_clipnorm", "clipvalue"):
        table = keras.Variable(np.zeros((10, 4), "float32"))
        keras.optimizers.SGD(1.0, **{name: 1.0}).apply([gradient], [table])
        found[name, form] = np.linalg.norm(table.numpy())
        print(f"{form}: {name}=1.0 makes a step of {found[name, form]:.1f}")
lengths = {"sparse": [10, 10, 10, 200], "dense": [1, 1, 1, 2]}
as_found = all(
    np.allclose([length for (_, f), length in found.items() if f == form], expected, rtol=1e-3)
    for form, expected in lengths.items()
)
sys.exit(0 if as_found else "The behaviour has changed.")
PY
