#!/usr/bin/env bash
# Guess:    an Arrow file that polars writes and pyarrow reads is a usable table; were its types too new, reading would fail.
# Happens:  reading succeeds, and little works after it: the strings are of type string_view, which this pyarrow can neither
#           cast to string, nor filter, sort, or hand on to pandas.
# Versions: polars 1.44.2, pyarrow 15.0.2 (the newest that NVTabular 23.8 is run with).
# Matters:  a check that reads a file's schema and rows passes; the job fails later, far from the file.
#           polars writes plain strings with compat_level=pl.CompatLevel.oldest().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==1.44.2 pyarrow==15.0.2 numpy==1.26.4 pandas==1.5.3
"$folder/venv/bin/python" - <<'PY'
import io
import sys

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

frame = pl.DataFrame({"item": ["milk", "bread"]})
print(f"polars {pl.__version__}, pyarrow {pa.__version__}")
failed = {}
for name, settings in (("default", {}), ("oldest", {"compat_level": pl.CompatLevel.oldest()})):
    file = io.BytesIO()
    frame.write_ipc(file, **settings)
    table = pa.ipc.open_file(io.BytesIO(file.getvalue())).read_all()
    column = table["item"]
    steps = {
        "cast": lambda column=column: column.cast(pa.string()),
        "filter": lambda table=table: table.filter(pa.array([True, False])),
        "sort": lambda column=column: pc.sort_indices(column),
        "to_pandas": lambda table=table: table.to_pandas(),
    }
    failed[name] = []
    print(f"compat_level {name}: {table.num_rows} rows read, type {column.type}")
    for step, run in steps.items():
        try:
            run()
        except (pa.ArrowException, TypeError) as error:
            failed[name].append(step)
            print(f"  {step}: {error}")
sys.exit(0 if len(failed["default"]) == 4 and not failed["oldest"] else "The behaviour has changed.")
PY
