#!/usr/bin/env bash
# Guess:    shuffle().repeat(3) of an IterableDataset is three epochs in three orders, above all without a seed, as in tf.data.
# Happens:  all three have one order, without a seed too: shuffle draws a seed when it is called. A second loop over a shuffled
#           data set repeats the order as well. set_epoch(n) changes it, but once for all repeats.
# Versions: datasets 5.2.0.
# Matters:  each batch has the same rows in each epoch, so a pair meets the same in-batch negatives all the time. Loop over the
#           epochs, and call set_epoch before each one, or shuffle after repeat.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
export HF_HOME="$folder/home" HF_DATASETS_OFFLINE=1
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

from datasets import Dataset

ROWS, BATCH = 1000, 100
data = Dataset.from_dict({"row": list(range(ROWS))}).to_iterable_dataset(num_shards=4)


def rows(dataset):
    return [each["row"] for each in dataset]


def batches(order):
    return {frozenset(order[start : start + BATCH]) for start in range(0, len(order), BATCH)}


print(f"datasets {version('datasets')}: {ROWS:,} rows, batches of {BATCH}")
found = {}
for name, options in (("no seed", {}), ("seed 17", {"seed": 17})):
    shuffled = data.shuffle(buffer_size=ROWS, **options)
    order = rows(shuffled.repeat(3))
    epochs = [order[start : start + ROWS] for start in range(0, 3 * ROWS, ROWS)]
    loops = [rows(shuffled), rows(shuffled)]
    shuffled.set_epoch(1)
    loops.append(rows(shuffled))
    found[name] = len(batches(order)), epochs[0] == epochs[1] == epochs[2], loops[0] == loops[1], loops[1] == loops[2]
    print(f"{name}: repeat(3) has {found[name][0]} different batches of 30, the epochs begin with {[epoch[:3] for epoch in epochs]}")
    print(f"{name}: two loops are equal: {found[name][2]}, after set_epoch(1): {found[name][3]}")
unequal = len(batches(rows(data.repeat(3).shuffle(seed=17, buffer_size=3 * ROWS))))
print(f"repeat(3).shuffle(): {unequal} different batches of 30")
as_found = all(result == (10, True, True, False) for result in found.values())
sys.exit(0 if as_found and unequal == 30 else "The behaviour has changed.")
PY
