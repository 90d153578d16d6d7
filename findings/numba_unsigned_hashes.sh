#!/usr/bin/env bash
# Guess:    h % 1000 of an unsigned 64-bit hash is the same number with and without @njit: Numba follows NumPy, where h stays uint64.
# Happens:  the literal 1000 is signed, and a hash of 2**63 or more is taken for a negative number: the bucket of 2**63 + 12345 is
#           537 in place of 153, and h // 4 is negative. The buckets of an array are float64. Scalars below 2**63 are right, and
#           so are h >> 40 and h % np.uint64(1000).
# Versions: numba 0.68.1, llvmlite 0.50.0, numpy 2.4.6.
# Matters:  half of all hashes fall into other buckets in compiled code than in NumPy, pandas or polars: items are trained in one
#           row of the table and served from another one, and a test part chosen by hash differs from its training part.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 llvmlite==0.50.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from numba import njit

print(", ".join(f"{name} {version(name)}" for name in ("numba", "llvmlite", "numpy")))


def bucket(h):
    return h % 1000


def quarter(h):
    return h // 4


def upper_bits(h):
    return h >> 40


def unsigned_bucket(h):
    return h % np.uint64(1000)


found = {}
for value in (12_345_678_901_234, 2**63 + 12_345):
    h = np.uint64(value)
    for function in (bucket, quarter, upper_bits, unsigned_bucket):
        plain, compiled = function(h), njit(function)(h)
        found[value, function.__name__] = int(plain) == int(compiled)
        print(f"{function.__name__} of {value}: NumPy {plain}, compiled {compiled}")
hashes = np.array([2**63 + 12_345, 5], dtype=np.uint64)
plain, compiled = bucket(hashes), njit(bucket)(hashes)
print(f"bucket of an array: NumPy {plain} ({plain.dtype}), compiled {compiled} ({compiled.dtype})")
wrong = {key for key, same in found.items() if not same}
as_found = wrong == {(2**63 + 12_345, "bucket"), (2**63 + 12_345, "quarter")}
sys.exit(0 if as_found and plain.tolist() == [153, 5] and compiled.tolist() == [537, 5] else "The behaviour has changed.")
PY
