#!/usr/bin/env bash
# Guess:    default_rng([17, epoch]) is another stream for each epoch, and none of them is that of default_rng(17).
# Happens:  zeros at the end of a seed do not count, up to four words: 17, [17, 0] and [17, 0, 0, 0] are one stream.
#           A number above 2**32 is cut into words: 17 + 5 * 2**32 is the stream of [17, 5].
# Versions: numpy 2.4.6.
# Matters:  numbers of epochs, workers and users start at 0. The negatives of the first epoch, [17, 0], are the candidates
#           that an evaluation draws by 17; those of worker 0, [17, epoch, 0], are what [17, epoch] gives elsewhere.
#           With the counters first, [epoch, 17], or by SeedSequence(17).spawn, the streams differ.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6
export OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np

seeds = (17, [17, 0], [17, 0, 0, 0], [17, 0, 0, 0, 0], [17, 1], [17, 5], 17 + 5 * 2**32, [0, 17], [1, 17])
print(f"NumPy {np.__version__}: five negatives of a million items by seed")
drawn = {}
for seed in seeds:
    drawn[str(seed)] = np.random.default_rng(seed).integers(10**6, size=5).tolist()
    print(f"default_rng({seed}): {drawn[str(seed)]}")
spawned = np.random.default_rng(np.random.SeedSequence(17).spawn(1)[0]).integers(10**6, size=5).tolist()
print(f"first of SeedSequence(17).spawn: {spawned}")
same = drawn["17"] == drawn["[17, 0]"] == drawn["[17, 0, 0, 0]"] and drawn["[17, 5]"] == drawn[str(17 + 5 * 2**32)]
differ = ("17", "[17, 0, 0, 0, 0]", "[17, 1]", "[17, 5]", "[0, 17]", "[1, 17]")
others = len({tuple(drawn[seed]) for seed in differ}) == len(differ) and spawned != drawn["17"]
sys.exit(0 if same and others else "The behaviour has changed.")
PY
