#!/usr/bin/env bash
# Guess:    the loss "bpr-max" weights each negative by its softmax and takes the logarithm of the sum, as in the paper that it
#           names (Hidasi and Karatzoglou 2018, "Recurrent neural networks with top-k gains"): easy negatives have no gradient.
# Happens:  it takes the logarithm of each weighted negative before the sum, so that each softmax weight is pulled to the mean.
#           An easy negative is pulled up stronger than the positive. Trained free scores of all negatives become equal;
#           by the formula of the paper, the easy one stays where it is.
# Versions: merlin-models 23.12.0, tensorflow 2.12.0.
# Matters:  the loss raises items that the model has already ranked low, mostly the rare ones. "bpr" has no such term, and
#           neither has "top1-max", which the same paper describes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  merlin-models==23.12.0 merlin-core==23.8.0 merlin-dataloader==23.8.0 tensorflow-cpu==2.12.0 keras==2.12.0 \
  tensorflow-metadata==1.16.1 protobuf==4.25.9 dask==2023.3.2 distributed==2023.3.2.1 dask-cuda==23.6.0 \
  pandas==1.5.3 numpy==1.23.5 pyarrow==15.0.2 scipy==1.15.3 numba==0.68.1 "setuptools==80.9.0"
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" -W ignore - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import sys
from importlib.metadata import version

import numpy as np
import tensorflow as tf
from merlin.models.tf.losses.pairwise import BPRmaxLoss

START = [2.0, 1.5, 1.0, 0.0, -3.0]
target = tf.constant([[1.0, 0.0, 0.0, 0.0, 0.0]])


def of_the_paper(target, scores):
    positive, negatives = scores[:, :1], scores[:, 1:]
    weights = tf.nn.softmax(negatives)
    return -tf.math.log(tf.reduce_sum(weights * tf.sigmoid(positive - negatives), axis=1))


print(f"merlin-models {version('merlin-models')}: the score of the positive, {START[0]}, and of four negatives, {START[1:]}")
found = {}
for name, loss in (("BPRmaxLoss", BPRmaxLoss(reg_lambda=0.0)), ("the paper", of_the_paper)):
    scores = tf.Variable([START])
    pulls = []
    for _ in range(100):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(target, scores))
        pulls.append(-tape.gradient(value, scores))
        scores.assign_add(1.5 * pulls[-1])
    found[name] = pulls[0].numpy()[0].astype(float), scores.numpy()[0].astype(float)
    print(f"{name}: pulls at first {np.round(found[name][0], 3).tolist()}, scores after 100 steps {np.round(found[name][1], 2).tolist()}")
pulls, scores = found["BPRmaxLoss"]
as_found = pulls[4] > pulls[0] > 0 and np.ptp(scores[1:]) < 0.05
pulls, scores = found["the paper"]
as_found = as_found and abs(pulls[4]) < 0.01 and abs(scores[4] - START[4]) < 0.2
sys.exit(0 if as_found else "The behaviour has changed.")
PY
