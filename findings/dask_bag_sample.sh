#!/usr/bin/env bash
# Guess:    dask.bag.random.sample(bag, k) draws each element with the same chance, as random.sample of a list does. The sizes of
#           the partitions are taken into account: choices(bag, k) of the same module does so.
# Happens:  an element of a small partition is drawn two to four times as often as one of a large partition. With partitions of
#           1,000 and 10 elements and k = 10, an element of the small one is in 3 of 100 samples in place of 1.
# Versions: dask 2026.8.0.
# Matters:  filter and read_text leave partitions of unequal sizes: quiet days, small shops, the last file. Their events are
#           drawn too often, and so are their items in popularity counts of the sample. With equal partitions it is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check dask==2026.8.0 toolz==1.2.0
"$folder/venv/bin/python" - <<'PY'
import random
import sys
from importlib.metadata import version

import dask
from dask import bag
from dask.bag.random import choices, sample

dask.config.set(scheduler="synchronous")
random.seed(17)
print(f"dask {version('dask')}")
found = []
for sizes, k in (((1000, 10), 10), ((1000, 10), 50), ((505, 505), 10)):
    parts = [list(range(sizes[0])), list(range(sizes[0], sum(sizes)))]
    events = bag.from_delayed([dask.delayed(part) for part in parts])
    rates = []
    for draw in (sample, choices):
        drawn = [element for _ in range(600) for element in draw(events, k).compute()]
        small = sum(element >= sizes[0] for element in drawn)
        rates.append(small / sizes[1] / (len(drawn) - small) * sizes[0])
    print(f"partitions of {sizes}, k = {k}: an element of the second one is drawn {rates[0]:.1f} times as often as one of the first (choices: {rates[1]:.1f})")
    found.append(rates)
uneven = found[:2]
as_found = all(2 < rate < 4.5 for rate, _ in uneven) and all(0.5 < rate < 1.6 for _, rate in uneven) and 0.9 < found[2][0] < 1.1
sys.exit(0 if as_found else "The behaviour has changed.")
PY
