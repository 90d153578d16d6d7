#!/usr/bin/env bash
# Guess:    jnp.bincount of ids with a padding of -1 raises an error, as in NumPy, or leaves the padding out, as it does with ids that
#           are too large for `length`.
# Happens:  each -1 is counted for item 0, with weights, too, and in a jitted function. segment_sum and one_hot leave -1
#           out, and counts.at[ids].add(1) counts it for the last item.
# Versions: jax 0.10.2, numpy 2.4.6.
# Matters:  histories are padded with -1, and popularity is counted from batches. Item 0, the most popular one already if ids go by
#           frequency, gets all of the padding: negatives and the logQ correction are about item 0. Use segment_sum.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PY'
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

print(f"jax {jax.__version__}, numpy {np.__version__}")
ids = np.array([3, 1, -1, -1, -1, -1, 9])  # a padded history, and an id that is too large
try:
    np.bincount(ids, minlength=5)
    refused = False
except ValueError as error:
    refused = True
    print(f"np.bincount of {ids.tolist()}: {error}")
found = {
    "bincount": jnp.bincount(ids, length=5),
    "jitted": jax.jit(partial(jnp.bincount, length=5))(ids),
    "weights": jnp.bincount(ids, weights=np.full(7, 0.5), length=5),
    "segment_sum": jax.ops.segment_sum(np.ones(7, int), ids, num_segments=5),
    "one_hot": jax.nn.one_hot(ids, 5).sum(axis=0),
    "at[].add": jnp.zeros(5, int).at[ids].add(1),
}
found = {name: np.asarray(counts).tolist() for name, counts in found.items()}
for name, counts in found.items():
    print(f"{name}: {counts}")
left_out = [0, 1, 0, 1, 0]
expected = {
    "bincount": [4, 1, 0, 1, 0],
    "jitted": [4, 1, 0, 1, 0],
    "weights": [2, 0.5, 0, 0.5, 0],
    "segment_sum": left_out,
    "one_hot": left_out,
    "at[].add": [0, 1, 0, 1, 4],
}
sys.exit(0 if refused and found == expected else "The behaviour has changed.")
PY
