#!/usr/bin/env bash
# Guess:    pa.array([1000.0, True]) raises, as pa.array([1000, True]) does ("Expected integer, got bool").
# Happens:  it is the double array [1000, 1].
# Versions: pyarrow 26.0.1 (15.0.2 does the same).
# Matters:  in rows of JSON lines, a stray "true" among item ids becomes an interaction with item 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 numpy==2.2.6
"$folder/venv/bin/python" - <<'PY'
import sys

import pyarrow as pa

floats = pa.array([1000.0, True])
print(f"pyarrow {pa.__version__}: [1000.0, True] is {floats.to_pylist()} of type {floats.type}")
try:
    pa.array([1000, True])
    raised = False
except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
    raised = True
    print(f"[1000, True]: {error}")
sys.exit(0 if floats.to_pylist() == [1000.0, 1.0] and raised else "The behaviour has changed.")
PY
