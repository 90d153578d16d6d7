#!/usr/bin/env bash
# Guess:    Vowpal Wabbit hashes features, so ids of any kind are spread over its 2**18 weights: of 1,000 items, few share a weight.
# Happens:  features that are written as digits are not hashed. The lower 18 bits of the number choose the weight: items 7 and
#           262151 are one, and snowflake ids, whose lower 22 bits are mostly 0, all share one weight, also with -b 22.
#           "--hash all", or a letter before the number, hashes them.
# Versions: vowpalwabbit 9.11.9, numpy 2.4.6.
# Matters:  snowflake ids, and ids that count in large steps, are usual. The model of 1,000 items is one number then, its loss
#           falls to that of a constant, and nothing warns. Items with small numbers, as in tests and public data, are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check vowpalwabbit==9.11.9 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from vowpalwabbit import Workspace

print(", ".join(f"{name} {version(name)}" for name in ("vowpalwabbit", "numpy")))
n = 1_000
rng = np.random.default_rng(17)
labels = rng.choice([-1, 1], n)
milliseconds = 1_700_000_000_000 + np.sort(rng.choice(10**9, n, replace=False))
ids = {"numbers 0 to 999": np.arange(n), "snowflake ids": milliseconds << 22}


def share_learned(names, arguments):
    """The share of items whose label, 1 or -1, is learned by heart."""
    model = Workspace(f"--quiet --noconstant {arguments}")
    for _ in range(10):
        for row in rng.permutation(n):
            model.learn(f"{labels[row]} |item {names[row]}")
    scores = np.array([model.predict(f"|item {name}") for name in names])
    model.finish()
    return float(np.mean((scores > 0) == (labels > 0)))


found = {}
for kind, values in ids.items():
    for arguments in ("", "-b 22", "--hash all"):
        found[kind, arguments] = share_learned(values.tolist(), arguments)
    found[kind, "a letter before"] = share_learned([f"i{value}" for value in values.tolist()], "")
    shares = ", ".join(f"{name or 'default'} {share:.2f}" for (of, name), share in found.items() if of == kind)
    print(f"{kind}: share of labels learned: {shares}")
few = {key for key, share in found.items() if share < 0.6}
right = all(share > 0.98 for key, share in found.items() if key not in few)
sys.exit(0 if right and few == {("snowflake ids", ""), ("snowflake ids", "-b 22")} else "The behaviour has changed.")
PY
