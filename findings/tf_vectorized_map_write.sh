#!/usr/bin/env bash
# Guess:    tf.vectorized_map falls back to a loop for an operation that it cannot vectorize (fallback_to_while_loop=True is the
#           default): slow, and right. Whether it can depends on the operation, not on the data.
# Happens:  an operation without outputs, such as a write to a slice of a variable, fails: the message is about an index of a
#           tensor that the program does not have. tf.unique works if all rows have equally many distinct values, and fails else.
# Versions: TensorFlow 2.20.0.
# Matters:  a layer with state works in tf.map_fn and not in tf.vectorized_map. A step that ran for days fails at the first
#           batch with a repeated item.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-cpu==2.20.0 keras==3.12.0 numpy==1.26.4
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import sys

import tensorflow as tf

variable = tf.Variable(tf.zeros([3], tf.int64))


def write(number):
    """Writes the number to two of the variable's three places."""
    with tf.control_dependencies([variable[1:].assign(tf.stack([number, number]))]):
        return tf.identity(number)


def distinct(row):
    return tf.unique(row).y


print(f"TensorFlow {tf.__version__}")
found = []
for name, function, rows in (
    ("a write to a slice", write, tf.range(4, dtype=tf.int64)),
    ("tf.unique, two distinct items in each row", distinct, tf.constant([[1, 1, 2], [3, 4, 4]])),
    ("tf.unique, two and three distinct items", distinct, tf.constant([[1, 1, 2], [3, 4, 5]])),
):
    try:
        result = tf.vectorized_map(function, rows).numpy().tolist()
    except (ValueError, tf.errors.OpError) as error:
        result = f"{type(error).__name__}: {str(error).strip().splitlines()[-1].strip()[:120]}"
    found.append(result)
    print(f"{name}: {result}")
as_found = "Error" in found[0] and found[1] == [[1, 2], [3, 4]] and "Error" in found[2]
sys.exit(0 if as_found else "The behaviour has changed.")
PY
