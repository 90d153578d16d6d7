#!/usr/bin/env bash
# Guess:    with a global seed, random numbers in Dataset.map are reproducible, and each epoch draws others, as shuffle does.
# Happens:  each epoch draws the same ones. Each iteration makes the operation anew, and its generator begins at the seed.
#           Candidate samplers do so, too. Without a seed, epochs differ; with a tf.random.Generator, they always do.
# Versions: TensorFlow 2.20.0, keras 3.12.0.
# Matters:  a run that `keras.utils.set_random_seed` makes reproducible trains all epochs of Model.fit on one fixed set of
#           negatives, or of dropped and masked items. The model learns these negatives by heart.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-cpu==2.20.0 keras==3.12.0 numpy==1.26.4
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES="" KERAS_HOME="$folder"
cd "$folder"
venv/bin/python -W ignore - 2>log <<'PY' || { tail -n 5 log >&2; exit 1; }
import sys

import keras
import tensorflow as tf

ITEMS = 10**6


def uniform(row):
    return tf.random.uniform([], 0, ITEMS, tf.int64)


def log_uniform(row):
    return tf.random.log_uniform_candidate_sampler([[0]], 1, 1, True, ITEMS).sampled_candidates[0]


def epochs(dataset, repeated):
    """How many different results three epochs have, by iteration or by repeat(3)."""
    if repeated:
        numbers = [int(number) for number in dataset.repeat(3)]
        return len({tuple(numbers[start : start + 8]) for start in range(0, 24, 8)})
    return len({tuple(int(number) for number in dataset) for _ in range(3)})


rows = tf.data.Dataset.range(8)
print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}: eight rows, three epochs; how many of the epochs differ")
found = {}
for seed in (None, 17):
    if seed is not None:
        keras.utils.set_random_seed(seed)
    generator = tf.random.Generator.from_seed(seed or 5)
    datasets = {
        "uniform": rows.map(uniform),
        "log-uniform": rows.map(log_uniform),
        "Generator": rows.map(lambda row: generator.uniform([], 0, ITEMS, tf.int64)),
        "shuffle": rows.shuffle(8),
    }
    found[seed] = {name: epochs(dataset, False) for name, dataset in datasets.items()}
    print(f"seed {seed}:", ", ".join(f"{name} {count}" for name, count in found[seed].items()))
repeated = epochs(rows.map(uniform), True)
print(f"seed 17, repeat(3) instead: uniform {repeated}")
as_found = found[None]["uniform"] == found[None]["log-uniform"] == 3
as_found &= found[17] == {"uniform": 1, "log-uniform": 1, "Generator": 3, "shuffle": 3}
sys.exit(0 if as_found and repeated == 3 else "The behaviour has changed.")
PY
