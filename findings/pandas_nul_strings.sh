#!/usr/bin/env bash
# Guess:    nunique, groupby and factorize compare whole strings, as ==, drop_duplicates and merge do.
# Happens:  strings that agree up to a NUL character are one to the first three, whose hash table compares C strings.
#           ==, drop_duplicates and merge tell them apart, so that two counts of the same keys differ.
# Versions: pandas 1.5.3, the newest one that Merlin allows (pandas 3.1.1 has it right).
# Matters:  keys that are joined with NUL as a separator, "shop\0item", become one item per shop. The vocabulary shrinks
#           and nothing is reported.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==1.5.3 numpy==1.26.4
"$folder/venv/bin/python" - <<'PY'
import sys

import pandas as pd

keys = pd.Series(["shop\0milk", "shop\0bread", "shop\0tea"])
left, right = keys[:1].to_frame("key"), keys[1:2].to_frame("key")
found = {
    "first == second": bool(keys[0] == keys[1]),
    "rows after drop_duplicates": len(keys.drop_duplicates()),
    "rows of milk merged with bread": len(left.merge(right, on="key")),
    "nunique": keys.nunique(),
    "groups of groupby": keys.groupby(keys).ngroups,
    "codes of factorize": pd.factorize(keys)[0].tolist(),
}
print(f"pandas {pd.__version__}: {keys.tolist()}")
for what, value in found.items():
    print(f"{what}: {value}")
sys.exit(0 if list(found.values()) == [False, 3, 0, 1, 1, [0, 0, 0]] else "The behaviour has changed.")
PY
