#!/usr/bin/env bash
# Guess:    JAX without x64 refuses a NumPy array of int64 ids above 2**31, as it refuses a list of the same numbers, or warns.
# Happens:  the array is cut to the lower 32 bits without a warning, in jnp.asarray, in a jitted function and in device_put.
#           The id 2**32 + 7 is 7, and 2**32 - 1 is -1: rows of other items are looked up. A list raises OverflowError.
# Versions: jax 0.10.2 without jax_enable_x64.
# Matters:  ids that are hashes, or numbers of a data warehouse, reach a model as NumPy arrays. Items share rows, and
#           the ids are in the table's range, so neither NaN nor a bound gives it away. Map ids to 0 ... n - 1 before.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 numpy==2.4.6 scipy==1.17.1
export OPENBLAS_NUM_THREADS=1 JAX_PLATFORMS=cpu
"$folder/venv/bin/python" - <<'PY'
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np

ids = np.array([7, 2**32 + 7, 5 * 2**32 + 7, 2**32 - 1])
table = jnp.arange(10.0)
print(f"jax {jax.__version__}: NumPy int64 ids {ids.tolist()}")
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    found = [jnp.asarray(ids).tolist(), jax.device_put(ids).tolist(), jax.jit(lambda x: x + 0)(ids).tolist()]
    rows = jax.jit(lambda x: jnp.take(table, x))(ids).tolist()
print("asarray, device_put, jit:", *found)
print(f"rows of a table of ten: {rows}; warnings: {len(seen)}")
try:
    jnp.asarray(ids.tolist())
    refused = False
except OverflowError as error:
    refused = True
    print(f"the same numbers as a list: {error}")
as_found = found == [[7, 7, 7, -1]] * 3 and rows == [7, 7, 7, 9] and not seen and refused
sys.exit(0 if as_found else "The behaviour has changed.")
PY
