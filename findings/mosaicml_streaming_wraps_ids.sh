#!/usr/bin/env bash
# Guess:    a number that does not fit the type of its column raises an error when it is written.
# Happens:  MDSWriter stores the low bits without a warning, so an id of 41 bits in an int32 column becomes a small id, which
#           may be that of another item. A count of 300 in a uint8 column becomes 44, a float16 of 1e6 infinite.
# Versions: mosaicml-streaming 0.13.0, numpy 1.26.4, torch 2.9.1.
# Matters:  ids of hashes or time stamps train as other items, and nothing in the written set tells. Check the range first, or
#           write "int", which has 64 bits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mosaicml-streaming==0.13.0 numpy==1.26.4 torch==2.9.1 \
  torchvision==0.24.1
FOLDER="$folder/written" "$folder/venv/bin/python" -W ignore - <<'PY'
import os
import sys
from importlib.metadata import version

import numpy as np
from streaming import MDSWriter, StreamingDataset

out = os.environ["FOLDER"]
columns = {"item": "int32", "count": "uint8", "weight": "float16", "wide": "int"}
given = {"item": 2**40 + 7, "count": 300, "weight": 1e6, "wide": 2**40 + 7}
with MDSWriter(out=out, columns=columns) as writer:
    writer.write(given)
(row,) = StreamingDataset(local=out, batch_size=1, shuffle=False)
print(f"mosaicml-streaming {version('mosaicml-streaming')}, numpy {np.__version__}")
for name, kind in columns.items():
    print(f"{name}, {kind}: wrote {given[name]}, read {row[name]}")
as_found = (row["item"], row["count"], row["wide"]) == (7, 44, given["wide"]) and np.isinf(row["weight"])
sys.exit(0 if as_found else f"The behaviour has changed: {row}")
PY
