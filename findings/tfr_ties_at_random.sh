#!/usr/bin/env bash
# Guess:    a ranking metric of the same labels and scores is the same at each call.
# Happens:  equal scores are put in a random order at each call, so the metric of one model changes from call to call.
# Versions: tensorflow-ranking 0.5.5 (reports 0.5.5.dev), tensorflow 2.12.1.
# Matters:  models that give many items one score (unseen items, popularity, few trees) have no reproducible evaluation, and
#           no argument of the Keras metrics turns it off; tf.random.set_seed makes a run repeatable.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-ranking==0.5.5 tensorflow-cpu==2.12.1 numpy==1.23.5
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import tensorflow as tf
import tensorflow_ranking as tfr

labels, equal = tf.constant([[0.0, 0.0, 0.0, 1.0]]), tf.fill([1, 4], 0.5)


def measured(name, scores, seed=None):
    values = []
    for _ in range(20):
        if seed is not None:
            tf.random.set_seed(seed)
        metric = getattr(tfr.keras.metrics, name)()
        metric.update_state(labels, scores)
        values.append(round(float(metric.result()), 3))
    return sorted(set(values))


print(f"tensorflow-ranking {tfr.__version__}, tensorflow {tf.__version__}: one user, four items, 20 calls")
found = {name: measured(name, equal) for name in ("MRRMetric", "NDCGMetric", "MeanAveragePrecisionMetric")}
for name, values in found.items():
    print(f"{name} of equal scores: {values}")
print(f"MRRMetric of distinct scores: {measured('MRRMetric', tf.constant([[0.1, 0.2, 0.3, 0.4]]))}")
print(f"MRRMetric of equal scores, the seed set before each call: {measured('MRRMetric', equal, 3)}")
as_found = all(len(values) > 1 for values in found.values()) and len(measured("MRRMetric", equal, 3)) == 1
sys.exit(0 if as_found else f"The behaviour has changed: {found}")
PY
