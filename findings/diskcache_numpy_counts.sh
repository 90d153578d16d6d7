#!/usr/bin/env bash
# Guess:    a count of NumPy is a number for Cache.incr as it is for a dict: 7 increased by np.int64(3) is 10. A key of NumPy
#           is the key of its int, as np.int64(5) finds the value of 5 in a dict.
# Happens:  the first increase returns 10 and stores eight bytes. From the second one on, the bytes of the counts are joined:
#           the counter grows by eight bytes each time. np.int64(5) is another key than 5, without an error.
# Versions: diskcache 5.6.3, numpy 2.4.6.
# Matters:  counts of items come from np.unique, and ids from arrays. Popularity on disk becomes bytes, or is held twice; a
#           cache of item features is never hit. Convert both by int() or tolist().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check diskcache==5.6.3 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import diskcache
import numpy as np

print(f"diskcache {version('diskcache')}, numpy {version('numpy')}")
items, counts = np.unique([5, 5, 5, 7], return_counts=True)
with diskcache.Cache("counts") as cache:
    cache[5] = 7
    returned = []
    for day in (1, 2, 3):
        returned.append(cache.incr(5, counts[0]))
        print(f"day {day}: incr(5, {counts[0]!r}) returns {returned[-1]!r}; cache[5] is {cache[5]!r}")
    stored = cache[5]
with diskcache.Cache("keys") as cache:
    for item in items:
        cache.incr(item)
    for item in items.tolist():
        cache.incr(item)
    keys = list(cache.iterkeys())
    seen = {5: "vector"}.get(items[0]), cache.get(5), len(cache)
    print(f"two increases of items {items.tolist()}, as np.int64 and as int: keys {keys}, cache[5] is {seen[1]}")
eight_bytes = (10).to_bytes(8, "little")
three = (3).to_bytes(8, "little")
as_found = returned[0] == 10 and returned[1:] == [eight_bytes + three, eight_bytes + 2 * three] and stored == returned[2]
sys.exit(0 if as_found and seen == ("vector", 1, 4) else "The behaviour has changed.")
PY
