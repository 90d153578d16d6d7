#!/usr/bin/env bash
# Guess:    a field of the union ["null", "double", "long"] stores Python's int as long and float as double: that is what the union
#           is for.
# Happens:  fastavro takes the first type that fits, and an int fits double and float. The id 9007199254740993 comes back as
#           9007199254740992.0, and with "float", 16777217 as 16777216.0. With "long" first, both kinds are right.
# Versions: fastavro 1.13.1. Among "float" and "double" it does take double.
# Matters:  such unions come from columns that had both kinds, by tools that list types by the alphabet. Ids of 64 bits become
#           those of other items. Small ids survive, as floats, so tests pass. A pair ("long", id) names the type.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fastavro==1.13.1
"$folder/venv/bin/python" - <<'PY'
import io
import sys
from importlib.metadata import version

import fastavro


def stored(types, value):
    """Returns a value after it was written and read."""
    schema = {"type": "record", "name": "event", "fields": [{"name": "item", "type": types}]}
    file = io.BytesIO()
    fastavro.writer(file, schema, [{"item": value}])
    file.seek(0)
    return next(fastavro.reader(file))["item"]


print(f"fastavro {version('fastavro')}")
LARGE, SMALL = 2**53 + 1, 2**24 + 1
found = []
for types, value in (
    (["null", "double", "long"], LARGE),
    (["null", "float", "long"], SMALL),
    (["null", "long", "double"], LARGE),
    (["null", "long", "double"], 0.1),
    (["null", "float", "double"], 0.1),
    (["null", "double", "long"], ("long", LARGE)),
):
    found.append(stored(types, value))
    print(f"{types}: {value!r} becomes {found[-1]!r}")
expected = [float(2**53), float(2**24), LARGE, 0.1, 0.1, LARGE]
as_found = found == expected and list(map(type, found)) == list(map(type, expected))
sys.exit(0 if as_found else "The behaviour has changed.")
PY
