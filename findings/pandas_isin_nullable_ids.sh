#!/usr/bin/env bash
# Guess:    isin and merge of Int64 columns compare integers exactly: this is what the nullable types are for.
# Happens:  with one null among the values, isin compares float64. It finds 2**60 where the values hold 2**60 + 1 alone, and does
#           not find 2**60 + 1 itself. A merge of an int64 column with a UInt64 one matches all ids with one float64.
#           Without the null, and with plain uint64, both are exact; a merge of Int64 with a null is, too.
# Versions: pandas 3.1.1.
# Matters:  isin takes seen items out of candidates, and keeps known users. Ids above 2**53 are hashes and snowflake ids, and the
#           null comes from one incomplete row. Drop nulls first, and let hashes have one dtype (polars' are unsigned).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 numpy==2.4.6
export OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import sys

import pandas as pd

ids = pd.DataFrame({"id": [2**60, 2**60 + 1, 2**60 + 2]})
print(f"pandas {pd.__version__}: the int64 ids 2**60 + (0, 1, 2) against 2**60 + 1")
found = {}
for dtype, values in (("Int64", [2**60 + 1]), ("Int64", [2**60 + 1, None]), ("uint64", [2**60 + 1]), ("UInt64", [2**60 + 1])):
    seen = pd.DataFrame({"id": pd.Series(values, dtype=dtype), "seen": True})
    inside = ids["id"].isin(seen["id"]).tolist()
    merged = ids.merge(seen, on="id", how="left")["seen"].eq(True).tolist()
    name = dtype + (" with a null" if None in values else "")
    found[name] = inside, merged
    print(f"{name}: isin {inside}; merge finds {merged}")
right = [False, True, False]
as_found = found == {
    "Int64": (right, right),
    "Int64 with a null": ([True, False, False], right),
    "uint64": (right, right),
    "UInt64": (right, [True, True, True]),
}
sys.exit(0 if as_found else "The behaviour has changed.")
PY
