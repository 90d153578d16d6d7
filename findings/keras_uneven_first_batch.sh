#!/usr/bin/env bash
# Guess:    under MirroredStrategy, fit takes batches that do not divide evenly among the replicas, wherever they come. The
#           last batch of an epoch seldom divides, and works.
# Happens:  an uneven batch works anywhere but in the first place. There fit stops with "Inputs to operation AddN of type
#           AddN must have the same size and shape", which names no layer and no batch.
#           Before it traces, Keras takes the mean of the replicas' inputs, rows by rows, to build the model.
# Versions: Keras 3.15.1, TensorFlow 2.20.0.
# Matters:  data that fit one batch, as small tests and last files do, stop a distributed training that works elsewhere.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 tensorflow-cpu==2.20.0 numpy==2.4.6
export KERAS_HOME="$folder" TF_CPP_MIN_LOG_LEVEL=3
cd "$folder"
venv/bin/python -W ignore - 2>"$folder/log" <<'PY' || { tail -5 "$folder/log" && exit 1; }
import sys

import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
print(f"Keras {keras.__version__}, TensorFlow {tf.__version__}: two replicas, one Dense layer")
found = {}
for sizes in ((6, 6), (6, 5), (5,), (5, 6)):
    with strategy.scope():
        model = keras.Sequential([keras.Input([3]), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    rows, batch = sum(sizes), sizes[0]
    data = tf.data.Dataset.from_tensor_slices((np.ones([rows, 3]), np.ones([rows, 1]))).batch(batch)
    if sizes == (5, 6):
        data = data.unbatch().batch(5).take(1).concatenate(data.unbatch().skip(5).batch(6))
    try:
        model.fit(data, verbose=0)
        found[sizes] = "trained"
    except tf.errors.InvalidArgumentError as error:
        found[sizes] = "AddN of different shapes" if "AddN" in str(error) else str(error)
    print(f"batches of {sizes}: {found[sizes]}")
as_found = [found[sizes] for sizes in ((6, 6), (6, 5))] == ["trained"] * 2
as_found &= [found[sizes] for sizes in ((5,), (5, 6))] == ["AddN of different shapes"] * 2
sys.exit(0 if as_found else "The behaviour has changed.")
PY
