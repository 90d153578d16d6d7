#!/usr/bin/env bash
# Guess:    the cosine distance of a vector of zeros is 1, or NaN, and comes after all others: the ten nearest items are not among
#           the items without a vector.
# Happens:  it is NULL, which SQLite sorts first: ordered by vec_distance_cosine, the zero vectors are the ten nearest items of each
#           query. A search of a vec0 table returns a zero vector as the nearest one if it is in the first row, and then
#           never the tenth true neighbour; in other rows it leaves zero vectors out.
# Versions: sqlite-vec 0.1.9, apsw 3.54.1.0 (SQLite 3.54.1), numpy 2.4.6.
# Matters:  the first row of a table of embeddings is the padding item, whose vector is zero, and new items have zeros as well. They
#           are recommended to everybody. Leave zero vectors out of the table, or add "where distance is not null".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sqlite-vec==0.1.9 apsw==3.54.1.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import apsw
import numpy as np
import sqlite_vec

print(", ".join(f"{name} {version(name)}" for name in ("sqlite-vec", "apsw", "numpy")))
rng = np.random.default_rng(17)
query = rng.normal(size=8).astype(np.float32)
items = rng.normal(size=(1_000, 8)).astype(np.float32)
connection = apsw.Connection(":memory:")
connection.enable_load_extension(True)
connection.load_extension(sqlite_vec.loadable_path())
found = {}
for name, zeros in {"none": [], "row 0": [0], "row 500": [500], "rows 0, 50, 100, ...": list(range(0, 1_000, 50))}.items():
    table = items.copy()
    table[zeros] = 0
    rows = [(number, vector.tobytes()) for number, vector in enumerate(table)]
    connection.execute("drop table if exists plain; create table plain(item integer primary key, vector blob)")
    connection.execute("drop table if exists vec; create virtual table vec using vec0(item integer primary key, vector float[8] distance_metric=cosine)")
    connection.executemany("insert into plain values (?, ?)", rows)
    connection.executemany("insert into vec(item, vector) values (?, ?)", rows)
    nearest = np.flatnonzero(np.linalg.norm(table, axis=1))
    cosines = table[nearest] @ query / np.linalg.norm(table[nearest], axis=1)
    true = {*nearest[np.argsort(-cosines)[:10]].tolist()}
    counts = []
    for text in (
        "select item from plain order by vec_distance_cosine(vector, ?) limit 10",
        "select item from vec where vector match ? and k = 10",
    ):
        result = [item for (item,) in connection.execute(text, (query.tobytes(),))]
        counts += [len({*result} & {*zeros}), len({*result} & true)]
    found[name] = counts
    print(f"zero vectors: {name}; of ten results, order by: {counts[0]} zeros, {counts[1]} true; vec0: {counts[2]} zeros, {counts[3]} true")
expected = {"none": [0, 10, 0, 10], "row 0": [1, 9, 1, 9], "row 500": [1, 9, 0, 10], "rows 0, 50, 100, ...": [10, 0, 1, 9]}
sys.exit(0 if found == expected else "The behaviour has changed.")
PY
