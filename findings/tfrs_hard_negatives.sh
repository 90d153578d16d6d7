#!/usr/bin/env bash
# Guess:    Retrieval(num_hard_negatives=k) keeps the k candidates that the model scores highest, and
#           candidate_sampling_probability corrects the logits of those that are kept.
# Happens:  the correction comes first, and the k highest corrected logits are kept. As -log(probability) spans more than
#           the scores do, the "hard" negatives are simply the rarest items of the batch.
# Versions: tensorflow-recommenders 0.7.7, TensorFlow 2.15.1.
# Matters:  both arguments are recommended for retrieval. Together, hard negatives are no longer hard, and popular items
#           are hardly ever negatives.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-cpu==2.15.1 numpy==1.26.4
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps tensorflow-recommenders==0.7.7
export TF_CPP_MIN_LOG_LEVEL=3
"$folder/venv/bin/python" - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import sys
from importlib.metadata import version

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

rng = np.random.default_rng(17)
items, batch, hard = 1_000, 256, 10
probability = 1 / np.arange(1, items + 1)
probability /= probability.sum()
ids = rng.choice(items, batch, p=probability)
queries, vectors = (rng.normal(size=(n, 16)).astype("float32") / 3 for n in (batch, items))
task = tfrs.tasks.Retrieval(num_hard_negatives=hard)
highest, ranks = {}, {}
for given in (None, probability[ids].astype("float32")):
    found, kept_ids = 0, []
    for row in range(50):
        candidates = tf.Variable(np.roll(vectors[ids], -row, axis=0))
        rolled = None if given is None else np.roll(given, -row)
        with tf.GradientTape() as tape:
            loss = task(queries[row : row + 1], candidates, candidate_sampling_probability=rolled, compute_metrics=False)
        used = np.abs(tape.gradient(loss, candidates).numpy()).sum(axis=1)[1:] > 0
        scores = (candidates.numpy() @ queries[row])[1:]
        found += (scores[used] >= np.sort(scores)[-hard]).sum()
        kept_ids.extend(np.roll(ids, -row)[1:][used])
    highest[given is not None], ranks[given is not None] = found / (50 * hard), np.median(kept_ids)
print(f"tensorflow-recommenders {version('tensorflow-recommenders')}, {batch} candidates, {hard} hard negatives, 50 queries")
print(f"median popularity rank of the batch: {np.median(ids):.0f} of {items:,}")
for given in (False, True):
    print(
        f"candidate_sampling_probability {'given' if given else 'not given'}: {highest[given]:.0%} of the kept have one of the "
        f"{hard} highest scores; median popularity rank of the kept {ranks[given]:.0f}"
    )
sys.exit(0 if highest[False] > 0.9 and highest[True] < 0.3 else "The behaviour has changed.")
PY
