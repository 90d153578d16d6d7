#!/usr/bin/env bash
# Guess:    tf.logical_not(score < best) is True where score is NaN, in eager mode and in a tf.function alike.
# Happens:  True in eager mode, False in a tf.function: the graph optimizer replaces "not less" by "greater or equal", for floats
#           too. "Not greater", "not less or equal" and "not greater or equal" are replaced alike. XLA does not do it.
# Versions: TensorFlow 2.20.0.
# Matters:  a condition that is written so that NaN fails it passes NaN in the trained graph, though its test in eager mode
#           was right. A rank that counts the items which are "not worse" is 0, the best, for a model that has diverged.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-cpu==2.20.0 keras==3.12.0 numpy==1.26.4
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import sys

import tensorflow as tf

positive, others = tf.fill([1], float("nan")), tf.constant([0.1, 0.7, 0.3, 0.9])


def rank(positive, others):
    """Counts the other items that are not worse than the positive one."""
    return tf.math.count_nonzero(~(others < positive))


print(f"TensorFlow {tf.__version__}: the score of the positive item is NaN; rank among four other items")
found = {
    "eager": int(rank(positive, others)),
    "tf.function": int(tf.function(rank)(positive, others)),
    "tf.function(jit_compile=True)": int(tf.function(rank, jit_compile=True)(positive, others)),
}
for mode, value in found.items():
    print(f"{mode}: rank {value}")
sys.exit(0 if list(found.values()) == [4, 0, 4] else "The behaviour has changed.")
PY
