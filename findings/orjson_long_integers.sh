#!/usr/bin/env bash
# Guess:    orjson reads integers of more than 64 bits as Python does, or refuses them, as it does when it writes them.
# Happens:  orjson.loads makes them floats: 18446744073709551616, and the 2,048 integers around it, are 1.8446744073709552e+19. Its
#           documents name the range that it "serializes and deserializes". json, msgspec, ujson and rapidjson are exact, pysimdjson raises.
# Versions: orjson 3.13.0, msgspec 0.23.0, ujson 6.1.0, python-rapidjson 1.25, pysimdjson 7.0.2.
# Matters:  ids of 128 bits are usual: UUIDs as integers, xxh3_128, and hashes of URLs. orjson is put in the place of json for its speed.
#           Items that differ in their lower 75 bits become one, and no longer equal the keys of the id map.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check orjson==3.13.0 msgspec==0.23.0 ujson==6.1.0 python-rapidjson==1.25 pysimdjson==7.0.2
"$folder/venv/bin/python" - <<'PY'
import json
import sys
import uuid
from importlib.metadata import version

import msgspec
import orjson
import rapidjson
import simdjson
import ujson

packages = ("orjson", "msgspec", "ujson", "python-rapidjson", "pysimdjson")
print(", ".join(f"{name} {version(name)}" for name in packages))
first = uuid.uuid5(uuid.NAMESPACE_URL, "item 1").int
ids = [2**64, 2**64 + 1, first, first + 2**74]
text = json.dumps(ids)
readers = {
    "json": json.loads,
    "orjson": orjson.loads,
    "msgspec": msgspec.json.decode,
    "ujson": ujson.loads,
    "rapidjson": rapidjson.loads,
    "simdjson": lambda text: simdjson.Parser().parse(text.encode()).as_list(),
}
exact = {}
for name, read in readers.items():
    try:
        got = read(text)
        exact[name] = got == ids and all(isinstance(item, int) for item in got)
        print(f"{name}: {len(set(got))} of 4 ids, {got[:2]}, {type(got[0]).__name__}")
    except (ValueError, RuntimeError) as error:
        exact[name] = None
        print(f"{name}: {type(error).__name__}: {error}")
try:
    orjson.dumps(ids)
    writes = "writes them"
except TypeError as error:
    writes = f"{type(error).__name__}: {error}"
print(f"orjson.dumps: {writes}")
merged = orjson.loads(text)
expected = {"json": True, "orjson": False, "msgspec": True, "ujson": True, "rapidjson": True, "simdjson": None}
as_found = exact == expected and merged[0] == merged[1] and isinstance(merged[2], float) and writes != "writes them"
sys.exit(0 if as_found else "The behaviour has changed.")
PY
