#!/usr/bin/env bash
# Guess:    unsigned 64-bit ids of a CSV or JSON file are read as uint64, as pandas does, or raise an error: Arrow has the type, and
#           never rounds integers unasked.
# Happens:  one id of 2**63 or more makes the whole column double, without a warning: 17446744073709551615 and ...614 are one id.
#           pandas with engine="pyarrow", DataFusion and datasets, which read JSON in the same way, do so too. A schema with uint64
#           is right, and so are pandas' own readers, DuckDB and polars, which take 128 bits.
# Versions: pyarrow 26.0.1, datasets 5.2.0, datafusion 55.0.0, duckdb 2.0.1, polars 2.1.0, pandas 3.1.1.
# Matters:  xxhash and polars give unsigned hashes, half of them above 2**63, so each large file has one. Neighbours of up to 2,048
#           become one id, and ids no longer match those of the vocabulary. engine="pyarrow" was to be the same, only faster.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 datasets==5.2.0 datafusion==55.0.0 duckdb==2.0.1 \
    polars==2.1.0 pandas==3.1.1 numpy==2.4.6
cd "$folder"
HF_HUB_OFFLINE=1 HF_HOME="$folder/cache" HF_DATASETS_DISABLE_PROGRESS_BARS=1 venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import datafusion
import datasets
import duckdb
import pandas as pd
import polars as pl
import pyarrow.csv
import pyarrow.json

packages = ("pyarrow", "datasets", "datafusion", "duckdb", "polars", "pandas")
print(", ".join(f"{name} {version(name)}" for name in packages))
datasets.disable_progress_bars()
ids = [17446744073709551615, 17446744073709551614, 5]
with open("events.csv", "w") as file:
    file.write("item\n" + "".join(f"{item}\n" for item in ids))
with open("events.json", "w") as file:
    file.writelines(f'{{"item": {item}}}\n' for item in ids)


def load(kind, name):
    return datasets.load_dataset(kind, data_files=name, split="train")["item"][:]


ways = {
    "pyarrow.csv": lambda: pyarrow.csv.read_csv("events.csv")["item"].to_pylist(),
    "pyarrow.json": lambda: pyarrow.json.read_json("events.json")["item"].to_pylist(),
    'pandas.read_csv(engine="pyarrow")': lambda: pd.read_csv("events.csv", engine="pyarrow")["item"].tolist(),
    "datafusion, JSON": lambda: datafusion.SessionContext().read_json("events.json").to_pydict()["item"],
    "datasets, JSON": lambda: load("json", "events.json"),
    "datasets, CSV": lambda: load("csv", "events.csv"),
    "pandas.read_csv": lambda: pd.read_csv("events.csv")["item"].tolist(),
    "pandas.read_json": lambda: pd.read_json("events.json", lines=True)["item"].tolist(),
    "duckdb, CSV": lambda: [item for (item,) in duckdb.sql("select item from 'events.csv'").fetchall()],
    "duckdb, JSON": lambda: [item for (item,) in duckdb.sql("select item from 'events.json'").fetchall()],
    "polars, CSV": lambda: pl.read_csv("events.csv")["item"].to_list(),
    "polars, JSON": lambda: pl.read_ndjson("events.json")["item"].to_list(),
}
exact = {}
for name, way in ways.items():
    read = way()
    exact[name] = read == ids and all(isinstance(item, int) for item in read)
    print(f"{name}: {read}")
rounded = [name for name, same in exact.items() if not same]
sys.exit(0 if rounded == list(ways)[:5] else "The behaviour has changed.")
PY
