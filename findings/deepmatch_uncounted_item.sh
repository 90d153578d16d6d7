#!/usr/bin/env bash
# Guess:    an item whose count is 0 (it is new, or only in the test data) spoils at most its own row of the in-batch loss.
# Happens:  the loss of every row of the batch is NaN. log(0) makes the item's whole column of logits infinite, and
#           that column is a negative of all rows. The sampler "frequency" of the same package raises counts to 1 first.
# Versions: deepmatch 0.3.2, deepctr 0.9.4, TensorFlow 2.15.1.
# Matters:  counts come from the training data, batches of validation data do not: one new item turns the validation
#           loss, and the choice of the best model by it, into NaN.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-cpu==2.15.1 numpy==1.26.4 deepmatch==0.3.2 deepctr==0.9.4
export TF_CPP_MIN_LOG_LEVEL=3
"$folder/venv/bin/python" - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import sys
from importlib.metadata import version

import numpy as np
from deepmatch.layers.core import InBatchSoftmaxLayer
from deepmatch.utils import NegativeSampler

counts = np.array([0, 50, 30, 20, 0])
sampler = NegativeSampler("inbatch", num_sampled=4, item_name="item", item_count=counts)
layer = InBatchSoftmaxLayer(sampler._asdict())
vectors = np.eye(4, dtype="float32")
print(f"deepmatch {version('deepmatch')}: counts {counts.tolist()}, a batch of four rows")
found = {}
for last in (1, 4):
    ids = np.array([1, 2, 3, last])
    found[last] = layer([vectors, vectors, ids[:, None]]).numpy().ravel()
    print(f"items {ids.tolist()}: losses {[f'{loss:.3f}' for loss in found[last]]}")
sys.exit(0 if np.isfinite(found[1]).all() and np.isnan(found[4]).all() else "The behaviour has changed.")
PY
