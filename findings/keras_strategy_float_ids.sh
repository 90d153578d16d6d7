#!/usr/bin/env bash
# Guess:    under a MirroredStrategy, `fit` calls a model with the dtypes of its data, as it does without a strategy.
# Happens:  before the first step, `fit` builds a subclassed model from the mean of a batch over the replicas. So `call`
#           is traced with float32 in place of int64 ids. This happens also if the model has been called before.
# Versions: keras 3.15.1, tensorflow 2.20.0 (2.21.0 too).
# Matters:  look-ups cast floats without a word, so nothing is noticed. Code that checks for integer ids stops, and code
#           that branches on the dtype takes the wrong branch. A cast of the ids in `call` cures it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 tensorflow-cpu==2.20.0 numpy==2.4.6
export KERAS_HOME="$folder"
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import os
import sys

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
print(f"keras {keras.__version__}, tensorflow {tf.__version__}")


class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.table = keras.layers.Embedding(10, 1)
        self.seen = []

    def call(self, ids):
        self.seen.append(keras.backend.standardize_dtype(ids.dtype))
        return self.table(ids)


found = {}
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with strategy.scope():
        model = Model()
        model(np.arange(4))
        model.compile("sgd", "mse")
    model.fit(np.arange(8), np.zeros(8), batch_size=4, verbose=0)
    found[type(strategy).__name__] = sorted(set(model.seen))
    print(f"{type(strategy).__name__}: the model is called with {found[type(strategy).__name__]}")
expected = {"_DefaultDistributionStrategy": ["int64"], "MirroredStrategy": ["float32", "int64"]}
sys.exit(0 if found == expected else "The behaviour has changed.")
PY
