#!/usr/bin/env bash
# Guess:    a `map_batches` that returns its batch unchanged leaves a Ray Dataset as it was: int64 ids, some of them null.
# Happens:  batches are NumPy arrays by default, and a whole block each. One with a null becomes float64 and comes back so: its ids are
#           rounded above 2**53. Blocks without a null stay exact. With batch_format "pyarrow" or "pandas", and in `map`, ids are kept.
# Versions: ray 2.60.0, pyarrow 26.0.1, pandas 2.3.3, numpy 2.4.6.
# Matters:  one event without an item in each block changes nearly all ids of a data set. They meet no key of the vocabulary, or that of
#           another item. Where only some blocks have a null, a later shuffle raises an error; where all have one, nothing does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "ray[data]==2.60.0" pyarrow==26.0.1 pandas==2.3.3 numpy==2.4.6
export RAY_DATA_DISABLE_PROGRESS_BARS=1 RAY_USAGE_STATS_ENABLED=0 RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=0
"$folder/venv/bin/python" -W ignore - 2>"$folder/log" <<'PY' || { status=$?; tail -5 "$folder/log"; exit $status; }
import logging
import sys
from importlib.metadata import version

import numpy as np
import pyarrow as pa
import ray

print(", ".join(f"{name} {version(name)}" for name in ("ray", "pyarrow", "pandas", "numpy")))
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=200 * 2**20, logging_level="ERROR")
logging.getLogger("ray.data").setLevel("ERROR")
rng = np.random.default_rng(17)
ids = rng.integers(2**61, 2**62, 8_192).tolist()
found = {}
for nulls in (0, 1, 8):
    items = list(ids)
    for row in range(0, nulls * 1_024, 1_024):
        items[row] = None
    blocks = [slice(start, start + 1_024) for start in range(0, len(ids), 1_024)]
    tables = [pa.table({"event": range(len(ids))[block], "item": pa.array(items[block], pa.int64())}) for block in blocks]
    events = ray.data.from_arrow(tables)
    ways = {
        "map_batches": lambda: events.map_batches(lambda batch: batch),
        'map_batches, "pyarrow"': lambda: events.map_batches(lambda batch: batch, batch_format="pyarrow"),
        'map_batches, "pandas"': lambda: events.map_batches(lambda batch: batch, batch_format="pandas"),
        "map": lambda: events.map(lambda row: row),
    }
    for name, run in ways.items():
        rows = run().take_all()
        known = [(row["item"], items[row["event"]]) for row in rows if items[row["event"]] is not None]
        found[nulls, name] = sum(got != item for got, item in known) / len(known)
        print(f"{nulls} nulls in {len(rows)} rows of {len(blocks)} blocks, {name}: {found[nulls, name]:.1%} of the ids are changed")
ray.shutdown()
shares = [found[nulls, "map_batches"] for nulls in (0, 1, 8)]
others = [share for (_, name), share in found.items() if name != "map_batches"]
as_found = shares[0] == 0 and 0.1 < shares[1] < 0.15 and shares[2] > 0.95 and not any(others)
sys.exit(0 if as_found else "The behaviour has changed.")
PY
