#!/usr/bin/env bash
# Guess:    isna says for each value whether it is missing, and never fails.
# Happens:  a Decimal("sNaN") among objects makes isna, dropna, fillna and count raise decimal.InvalidOperation, for the whole
#           column. The quiet Decimal("NaN") is missing as expected.
# Versions: pandas 2.3.3, numpy 2.3.5.
# Matters:  prices and keys from databases come as decimals. Code that first drops nulls, as every encoder does, stops at a
#           value that it meant to drop, with a message that names no column.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==2.3.3 numpy==2.3.5
"$folder/venv/bin/python" - <<'PY'
import decimal
import sys

import pandas as pd

found = {}
for text in ("NaN", "sNaN"):
    column = pd.Series([decimal.Decimal("1.5"), decimal.Decimal(text)], dtype=object)
    calls = {"isna": column.isna, "dropna": column.dropna, "count": column.count}
    for name, call in calls.items():
        try:
            found[text, name] = str(getattr(call(), "tolist", call)())
        except decimal.InvalidOperation as error:
            found[text, name] = f"InvalidOperation {error}"
print(f"pandas {pd.__version__}: 1.5 and a missing decimal")
for (text, name), value in found.items():
    print(f"Decimal({text!r}), {name}: {value}")
quiet = [value for (text, _), value in found.items() if text == "NaN"]
loud = [value for (text, _), value in found.items() if text == "sNaN"]
as_found = quiet == ["[False, True]", "[Decimal('1.5')]", "1"] and all(v.startswith("InvalidOperation") for v in loud)
sys.exit(0 if as_found else "The behaviour has changed.")
PY
