#!/usr/bin/env bash
# Guess:    integers that do not fit an HDF5 dataset's type wrap around as in NumPy, or raise an error: -1 becomes 4294967295.
# Happens:  HDF5 clips them. All ids above 2**31 - 1 become 2147483647 in an int32 dataset, and -1 becomes 0 in an unsigned one.
#           This holds for create_dataset(data=..., dtype=...), for assignments, and for reading with astype. NaN becomes -2147483648,
#           a float16 above 65,504 infinity. Nothing warns.
# Versions: h5py 3.16.0, numpy 2.4.6.
# Matters:  -1 is the usual padding, and an unknown item in pandas.factorize: both become item 0, which ids by frequency make the most
#           popular one. Large ids become one single item. Convert in NumPy first, where np.iinfo can be checked.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check h5py==3.16.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder/items.h5" <<'PY'
import sys
from importlib.metadata import version

import h5py
import numpy as np

print(", ".join(f"{name} {version(name)}" for name in ("h5py", "numpy")))
ids = np.array([7, 2**31 + 5, 2**40, -1])
found = {}
with h5py.File(sys.argv[1], "w") as file:
    for kind in ("int32", "uint32"):
        created = file.create_dataset(f"{kind} created", data=ids, dtype=kind)[:]
        assigned = file.create_dataset(f"{kind} assigned", shape=ids.shape, dtype=kind)
        assigned[:] = ids
        wide = file.create_dataset(f"{kind} read", data=ids)
        ways = [created.tolist(), assigned[:].tolist(), wide.astype(kind)[:].tolist()]
        print(f"{ids.tolist()} as {kind}: created {ways[0]}, assigned {ways[1]}, read by astype {ways[2]}; NumPy has {ids.astype(kind).tolist()}")
        found[kind] = ways
    weights = file.create_dataset("weights", data=np.array([np.nan, 2.9, 1e12]), dtype="int32")[:].tolist()
    print(f"NaN, 2.9 and 1e12 as int32: {weights}")
expected = {"int32": [[7, 2**31 - 1, 2**31 - 1, -1]] * 3, "uint32": [[7, 2**31 + 5, 2**32 - 1, 0]] * 3}
sys.exit(0 if found == expected and weights == [-(2**31), 2, 2**31 - 1] else "The behaviour has changed.")
PY
