#!/usr/bin/env bash
# Guess:    an item has one hash in polars, whether its column is String, Categorical or Enum, as an integer has one for all widths.
# Happens:  the three differ. That of an Enum is made of the position: when a new item sorts before an old one, the old one gets another
#           hash. Integers of all widths and signs do have one hash.
# Versions: polars 2.1.0.
# Matters:  hash modulo 10 is how users or items are split without a table. If one file was read as String and the other as Categorical,
#           nine of ten items of the test part are in the training part. With an Enum, one new item moves the later ones.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0
"$folder/venv/bin/python" - <<'PY'
import sys

import polars as pl

print(f"polars {pl.__version__}")
names = sorted(f"item{number}" for number in range(10_000))
strings = pl.Series(names)
columns = {
    "String": strings,
    "String, sliced": strings.slice(100),
    "Categorical": strings.cast(pl.Categorical),
    "Enum": strings.cast(pl.Enum(names)),
    "Enum with one more item": strings.cast(pl.Enum(["another", *names])),
}
parts = {name: dict(zip(column.cast(pl.String), column.hash() % 10)) for name, column in columns.items()}
found = {}
for one, other in (("String", "String, sliced"), ("String", "Categorical"), ("String", "Enum"), ("Enum", "Enum with one more item")):
    test = [item for item in parts[one] if parts[one][item] == 0 and item in parts[other]]
    found[one, other] = sum(parts[other][item] != 0 for item in test) / len(test)
    print(f"items of part 0 by {one} that are in another part by {other}: {found[one, other]:.0%} of {len(test)}")
integers = {str(kind): pl.Series([5, 100], dtype=kind).hash().to_list() for kind in (pl.Int8, pl.Int32, pl.Int64, pl.UInt16, pl.UInt64)}
print(f"hashes of 5 as {', '.join(integers)}: {len({tuple(pair) for pair in integers.values()})} different")
shares = list(found.values())
as_found = shares[0] == 0 and min(shares[1:]) > 0.8 and len({tuple(pair) for pair in integers.values()}) == 1
sys.exit(0 if as_found else "The behaviour has changed.")
PY
