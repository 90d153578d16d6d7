#!/usr/bin/env bash
# Guess:    a number that does not fit the type that was guessed from the first rows raises an error, as it does when polars reads a
#           file. Or all rows are looked at, as in pandas.
# Happens:  if the first 20,480 rows are integers, DuckDB rounds the later ones: 0.4 is 0, and 0.5 is 1 in CSV and 0 in JSON lines.
#           In JSON lines, DataFusion cuts them after 1,000 rows, and Daft in longer files; polars does after 100 dicts of a list.
#           None of them warns. A type that one names, or sample_size=-1 in DuckDB, keeps them.
# Versions: duckdb 2.0.1, datafusion 55.0.0, daft 0.7.26, polars 2.1.0, pandas 3.1.1, pyarrow 25.0.1.
# Matters:  weights and ratings are mostly whole numbers, and a file begins with old events or the heavy users. A weight of 0.4 in a
#           later row becomes 0, and the row is not trained; 4.5 stars are 4. Small test files are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.1 datafusion==55.0.0 daft==0.7.26 polars==2.1.0 \
    pandas==3.1.1 pyarrow==25.0.1 numpy==2.4.6
cd "$folder"
DAFT_PROGRESS_BAR=0 DO_NOT_TRACK=true venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import daft
import datafusion
import duckdb
import pandas as pd
import polars as pl

packages = ("duckdb", "datafusion", "daft", "polars", "pandas", "pyarrow")
print(", ".join(f"{name} {version(name)}" for name in packages))
weights = [1] * 200_000 + [0.4, 0.5, 4.5]
with open("events.csv", "w") as file:
    file.write("weight\n" + "".join(f"{weight}\n" for weight in weights))
with open("events.json", "w") as file:
    file.writelines(f'{{"weight": {weight}}}\n' for weight in weights)
ways = {
    "duckdb, CSV": lambda: duckdb.sql("select weight from 'events.csv'").fetchnumpy()["weight"],
    "duckdb, JSON lines": lambda: duckdb.sql("select weight from 'events.json'").fetchnumpy()["weight"],
    "duckdb, all rows": lambda: duckdb.sql("select weight from read_csv('events.csv', sample_size=-1)").fetchnumpy()["weight"],
    "datafusion, JSON lines": lambda: datafusion.SessionContext().read_json("events.json").to_pandas()["weight"],
    "daft, JSON lines": lambda: daft.read_json("events.json").to_pydict()["weight"],
    "polars, list of dicts": lambda: pl.DataFrame([{"weight": weight} for weight in weights])["weight"],
    "pandas, CSV": lambda: pd.read_csv("events.csv")["weight"],
    "pandas, JSON lines": lambda: pd.read_json("events.json", lines=True)["weight"],
    "polars, CSV": lambda: pl.read_csv("events.csv")["weight"],
    "polars, JSON lines": lambda: pl.read_ndjson("events.json")["weight"],
}
found = {}
for name, way in ways.items():
    try:
        read = sorted(float(weight) for weight in way())  # DataFusion reads pieces of a file in parallel
        found[name] = [read[0], read[1], read[-1]]
    except pl.exceptions.ComputeError as error:
        found[name] = type(error).__name__
    print(f"weights 0.4, 0.5 and 4.5 after 200,000 ones, {name}: {found[name]}")
cut, exact = [0.0, 0.0, 4.0], [0.4, 0.5, 4.5]
expected = {
    "duckdb, CSV": [0.0, 1.0, 5.0],
    "duckdb, JSON lines": cut,
    "duckdb, all rows": exact,
    "datafusion, JSON lines": cut,
    "daft, JSON lines": cut,
    "polars, list of dicts": cut,
    "pandas, CSV": exact,
    "pandas, JSON lines": exact,
    "polars, CSV": "ComputeError",
    "polars, JSON lines": "ComputeError",
}
sys.exit(0 if found == expected else "The behaviour has changed.")
PY
