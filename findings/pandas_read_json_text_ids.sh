#!/usr/bin/env bash
# Guess:    ids that a JSON file holds as text, to keep them from being rounded, are read by pandas.read_json as text, or at least
#           as the exact integers. (That "007" becomes 7 is well known.)
# Happens:  text of digits becomes numbers, and if one row has no id, these are float64: "9007199254740993" and
#           "9007199254740992" become one id. Without a missing value, 17 digits are exact, but unsigned 64-bit ids of 20 digits are
#           rounded anyway. "1_000" and "1e3" are 1000. dtype=False, or dtype={"item": str}, keeps the text.
# Versions: pandas 3.1.1, numpy 2.4.6. With engine="pyarrow", and in polars 2.1.0 and duckdb 2.0.1, they stay text.
# Matters:  APIs send ids as text so that JavaScript does not round them. One event without an item merges neighbouring items, as
#           ids of one second are with snowflake ids. A day without such an event is right, and joins with it fail.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pandas==3.1.1 numpy==2.4.6 pyarrow==26.0.1 polars==2.1.0 duckdb==2.0.1
cd "$folder"
venv/bin/python - <<'PY'
import json
import sys
from importlib.metadata import version

import duckdb
import pandas as pd
import polars as pl

packages = ("pandas", "pyarrow", "polars", "duckdb")
print(", ".join(f"{name} {version(name)}" for name in packages))


def read(items, **options):
    with open("events.json", "w") as file:
        file.writelines(json.dumps({"item": item}) + "\n" for item in items)
    return pd.read_json("events.json", lines=True, **options)["item"]


found = {}
near = ["9007199254740993", "9007199254740992"]
for name, items in {
    "two ids": near,
    "two ids and a null": [*near, None],
    "20 digits": ["17446744073709551615", "17446744073709551614"],
    "1_000, 1e3": ["1_000", "1e3"],
}.items():
    read_items = read(items)
    found[name] = read_items.dtype.name, read_items.nunique()
    print(f"{name}: {items} -> {read_items.tolist()} ({read_items.dtype}), {read_items.nunique()} different")
others = {
    "dtype=False": read([*near, None], dtype=False).tolist(),
    'dtype={"item": str}': read([*near, None], dtype={"item": str}).tolist(),
    'engine="pyarrow"': read([*near, None], engine="pyarrow").tolist(),
    "polars": pl.read_ndjson("events.json")["item"].to_list(),
    "duckdb": [row[0] for row in duckdb.sql("select item from 'events.json'").fetchall()],
}
for name, items in others.items():
    print(f"{name}: {items}")
expected = {
    "two ids": ("int64", 2),
    "two ids and a null": ("float64", 1),
    "20 digits": ("float64", 1),
    "1_000, 1e3": ("float64", 1),
}
as_text = all(items[:2] == near for items in others.values())
sys.exit(0 if found == expected and as_text else "The behaviour has changed.")
PY
