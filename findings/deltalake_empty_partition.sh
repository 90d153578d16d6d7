#!/usr/bin/env bash
# Guess:    a partition column of strings keeps the empty string and null apart, as the other columns do.
# Happens:  the empty string is read back as null.
# Versions: deltalake 1.6.6, pyarrow 26.0.1.
# Matters:  a key changes its meaning by the layout of the files: NVTabular gives null the id 1, and the empty string an id of its
#           own. The counts of both keys are added up after a table was partitioned.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1
FOLDER="$folder" "$folder/venv/bin/python" -W ignore - <<'PY'
import os
import sys
from importlib.metadata import version

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

table = pa.table({"row": [1, 2, 3], "category": ["", "a", None]})
print(f"deltalake {version('deltalake')}, pyarrow {pa.__version__}: wrote {table['category'].to_pylist()}")
found = {}
for by in (None, ["category"]):
    folder = os.path.join(os.environ["FOLDER"], "by" if by else "plain")
    write_deltalake(folder, table, partition_by=by)
    found[bool(by)] = DeltaTable(folder).to_pyarrow_table().sort_by("row")["category"].to_pylist()
    print(f"{'partitioned by it' if by else 'not partitioned'}: read {found[bool(by)]}")
as_found = found == {False: ["", "a", None], True: [None, "a", None]}
sys.exit(0 if as_found else f"The behaviour has changed: {found}")
PY
