#!/usr/bin/env bash
# Guess:    the codes of a Categorical column (to_physical) are 0 to n - 1, as they were in polars 1.31 and are in pandas: a cheap
#           way to number users and items for an embedding.
# Happens:  all Categorical columns of a process share one set of categories. The codes of items begin after those of users, and
#           depend on which columns the process holds already. An Enum, or Categories of one's own, has 0 to n - 1.
# Versions: polars 2.1.0 (1.31.0 numbers each column from 0).
# Matters:  codes point behind the table of items, or to the rows of other items: a model is served, or trained on, with codes of
#           another process. A test on one column alone does not show it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0
cat >"$folder/codes.py" <<'PY'
"""Prints the codes of three events; the arguments are categories that the process holds already."""

import json
import sys

import polars as pl

held = pl.Series(sys.argv[1:], dtype=pl.Categorical)
users = pl.Series(["ann", "ben", "ann"], dtype=pl.Categorical)
names = ["shoe", "hat", "coat"]
items = pl.Series(names, dtype=pl.Categorical)
own = pl.Series(names, dtype=pl.Categorical(pl.Categories("items")))
print(json.dumps([column.to_physical().to_list() for column in (users, items, own)]))
PY
"$folder/venv/bin/python" - "$folder/codes.py" <<'PY'
import json
import subprocess
import sys

import polars as pl

print(f"polars {pl.__version__}: codes of the users ann, ben, ann and the items shoe, hat, coat")
found = []
for held in ([], ["hat", "sock"]):
    output = subprocess.run([sys.executable, sys.argv[1], *held], check=True, capture_output=True, text=True).stdout
    users, items, own = json.loads(output)
    found.append((users, items, own))
    print(
        f"a process that holds {' and '.join(held) or 'no category'} already: users {users}, items {items}, "
        f"items with Categories of their own {own}"
    )
as_found = found == [([0, 1, 0], [2, 3, 4], [0, 1, 2]), ([2, 3, 2], [4, 0, 5], [0, 1, 2])]
sys.exit(0 if as_found else "The behaviour has changed.")
PY
