#!/usr/bin/env bash
# Guess:    Dataset.map with num_proc draws a negative for each row independently, as it does without.
# Happens:  with num_proc=4, the four quarters of the rows get the same negatives. Each process starts with a copy of NumPy's
#           global generator; Python's own `random` is seeded anew in each process.
# Versions: datasets 5.2.0, on Linux.
# Matters:  more processes make the data faster, and the negatives fewer: N processes leave one N-th of the draws. A generator
#           for each row, seeded by its index, gives the same numbers for any num_proc.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  datasets==5.2.0 multiprocess==0.70.19 dill==0.4.1 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
export HF_HUB_OFFLINE=1 HF_HOME="$folder/home" OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
cd "$folder"
cat >negatives.py <<'PY'
import random
import sys
import time

import datasets
import numpy as np

ITEMS = 10**9


def by_numpy(row):
    time.sleep(0.02)  # so that each process takes one part of the rows, none of them two
    return {"negative": int(np.random.randint(ITEMS))}


def by_random(row):
    return {"negative": random.randrange(ITEMS)}


def by_row(row, index):
    return {"negative": int(np.random.default_rng([17, index]).integers(ITEMS))}


if __name__ == "__main__":
    datasets.disable_progress_bars()
    users = datasets.Dataset.from_dict({"user": list(range(40))})
    print(f"datasets {datasets.__version__}: one negative of a billion items for each of {len(users)} users")
    found = {}
    for processes in (None, 2, 4):
        for draw in (by_numpy, by_random, by_row):
            result = users.map(draw, num_proc=processes, with_indices=draw is by_row, load_from_cache_file=False)
            found[draw, processes] = len(set(result["negative"]))
        numbers = ", ".join(f"{draw.__name__} {found[draw, processes]}" for draw in (by_numpy, by_random, by_row))
        print(f"num_proc={processes}: different negatives: {numbers}")
    as_found = [found[by_numpy, processes] for processes in (None, 2, 4)] == [40, 20, 10]
    as_found &= all(found[draw, processes] == 40 for draw in (by_random, by_row) for processes in (None, 2, 4))
    sys.exit(0 if as_found else "The behaviour has changed.")
PY
venv/bin/python negatives.py
