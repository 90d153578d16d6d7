#!/usr/bin/env bash
# Guess:    fireducks.pandas, which is imported in the place of pandas, counts distinct values as pandas does. It merges the same rows,
#           if perhaps in another order, as its documents say.
# Happens:  nunique counts a missing value as an item, with dropna=True as well. Missing keys find no partner in merge, as in SQL,
#           where pandas joins them with each other. Rows are lost, or get no values. Nothing warns.
# Versions: fireducks 1.4.4, pandas 2.3.3, pyarrow 21.0.0, numpy 2.4.6.
# Matters:  the size of an embedding comes from nunique, and so do coverage and the number of users. Results differ only where values
#           are missing, so tests with complete data pass.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fireducks==1.4.4 pandas==2.3.3 pyarrow==21.0.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import fireducks.pandas
import pandas

print(", ".join(f"{name} {version(name)}" for name in ("fireducks", "pandas", "pyarrow")))
found = {}
for name, pd in {"pandas": pandas, "fireducks": fireducks.pandas}.items():
    events = pd.DataFrame({"item": ["a", "b", None, "a"], "weight": [1.0, None, 2.0, 2.0]})
    prices = pd.DataFrame({"item": ["a", None], "price": [10.0, 7.0]})
    left = events.merge(prices, on="item", how="left")
    found[name] = {
        "frame": {column: int(n) for column, n in events.nunique().items()},
        "column": int(events["item"].nunique()),
        "column, dropna=True": int(events["item"].nunique(dropna=True)),
        "in groups": int(events.groupby(events["weight"].isna())["item"].nunique().max()),
        "rows of an inner merge": len(events.merge(prices, on="item")),
        "prices of a left merge": int(left["price"].notna().sum()),
    }
    print(f"{name}: {found[name]}")
expected = {
    "pandas": {"frame": {"item": 2, "weight": 2}, "column": 2, "column, dropna=True": 2, "in groups": 1},
    "fireducks": {"frame": {"item": 3, "weight": 3}, "column": 3, "column, dropna=True": 3, "in groups": 1},
}
expected["pandas"] |= {"rows of an inner merge": 3, "prices of a left merge": 3}
expected["fireducks"] |= {"rows of an inner merge": 2, "prices of a left merge": 2}
sys.exit(0 if found == expected else "The behaviour has changed.")
PY
