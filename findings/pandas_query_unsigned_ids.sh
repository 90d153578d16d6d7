#!/usr/bin/env bash
# Guess:    df.query("item > 100") selects what df[df["item"] > 100] selects. numexpr, if it is installed, only makes it faster.
# Happens:  query and eval take numexpr without being asked as soon as it is installed, and numexpr has no unsigned 64-bit integers:
#           an id of 2**63 or more is negative. "item > 100" then finds none of them, "item % 10" is another bucket, and
#           item + 1 is -9.2e18. "==" finds them. engine="python" is right.
# Versions: pandas 3.1.1, numexpr 2.14.2, numpy 2.4.6.
# Matters:  half of all unsigned 64-bit hashes are above 2**63, and polars and xxhash give unsigned ones. A split by
#           query("hash % 10 == 0") is another one on a machine with numexpr, which other packages bring along.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
cat > "$folder/query.py" <<'PY'
import sys
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pandas as pd

try:
    numexpr = f"numexpr {version('numexpr')}"
except PackageNotFoundError:
    numexpr = "no numexpr"
print(f"pandas {pd.__version__}, {numexpr}")
df = pd.DataFrame({"item": np.array([2**63 + 5, 7, 2**64 - 2], dtype="uint64")})
print(f"items {df['item'].tolist()}; df['item'] > 100: {df[df['item'] > 100].index.tolist()}")
seen = []
for engine in (None, "python"):
    rows = [df.query(text, engine=engine).index.tolist() for text in ("item > 100", "item % 10 == 3")]
    following = df.eval("item + 1", engine=engine)
    seen.append((rows, following.dtype.name, int(following[0])))
    print(f"engine {engine}: item > 100 in rows {rows[0]}, item % 10 == 3 in rows {rows[1]}, item + 1 of row 0 is {following[0]} ({following.dtype})")
right = ([[0, 2], [0]], "uint64", 2**63 + 6)
wrong = ([[], []], "float64", -(2**63))
sys.exit(0 if seen == [wrong if sys.argv[1] == "wrong" else right, right] else "The behaviour has changed.")
PY
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" "$folder/query.py" right
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numexpr==2.14.2
"$folder/venv/bin/python" "$folder/query.py" wrong
