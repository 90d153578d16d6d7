#!/usr/bin/env bash
# Guess:    casting text to timestamp[ns] raises where the time lies outside of 1677 to 2262, as the cast from timestamp[us]
#           does. Casts are safe by default.
# Happens:  the value wraps around: "9999-01-01" is a day of 1815, without an error.
# Versions: pyarrow 15.0.2 (26.0.1 raises).
# Matters:  databases write 9999 for "never". Such an event sorts before all other events, and a split by time puts it
#           into the training data.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==15.0.2 numpy==1.26.4
"$folder/venv/bin/python" - <<'PY'
import sys

import pyarrow as pa

text = pa.array(["2026-01-01", "9999-01-01"])
times = text.cast(pa.timestamp("ns")).to_numpy(zero_copy_only=False)
years = times.astype("datetime64[Y]").astype(str).tolist()
print(f"pyarrow {pa.__version__}: {text.to_pylist()} cast to timestamp[ns] are of the years {years}")
try:
    text.cast(pa.timestamp("us")).cast(pa.timestamp("ns"))
    raised = False
except pa.ArrowInvalid as error:
    raised = True
    print(f"by way of timestamp[us]: {error}")
sys.exit(0 if years == ["2026", "1815"] and raised else "The behaviour has changed.")
PY
