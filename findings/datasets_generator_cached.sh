#!/usr/bin/env bash
# Guess:    Dataset.from_generator(read, gen_kwargs={"path": "events.csv"}) runs the generator, or at least notices that the file
#           has changed, as Dataset.from_csv does.
# Happens:  the second call returns the rows of the first one, also in a new process. Rows are cached by the code and the
#           arguments of the generator; neither the file's content nor its date belongs to them.
# Versions: datasets 5.2.0.
# Matters:  a daily training reads yesterday's events from "events.csv". A generator that draws negatives gives the same ones in
#           each epoch and each run, by any seed set outside. Make the date, or the seed, one of gen_kwargs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  datasets==5.2.0 dill==0.4.1 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
export HF_HUB_OFFLINE=1 HF_HOME="$folder/home" OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
cd "$folder"
cat >read.py <<'PY'
import json
import random
import sys

import datasets

datasets.disable_progress_bars()


def events(path):
    with open(path) as file:
        for line in list(file)[1:]:
            yield {"item": int(line)}


def negatives(count):
    for _ in range(count):
        yield {"item": random.randrange(10**9)}


random.seed(int(sys.argv[1]))
read = {
    "from_generator": datasets.Dataset.from_generator(events, gen_kwargs={"path": "events.csv"}),
    "from_csv": datasets.Dataset.from_csv("events.csv"),
    "negatives": datasets.Dataset.from_generator(negatives, gen_kwargs={"count": 3}),
}
print(json.dumps({name: data["item"][:] for name, data in read.items()} | {"version": datasets.__version__}))
PY
printf 'item\n1\n2\n3\n' >events.csv
venv/bin/python read.py 1 >first.json
printf 'item\n7\n8\n' >events.csv
venv/bin/python read.py 2 >second.json
venv/bin/python - <<'PY'
import json
import sys

first, second = (json.load(open(name)) for name in ("first.json", "second.json"))
print(f"datasets {first['version']}: two processes; between them, events.csv is written anew")
for name in ("from_generator", "from_csv", "negatives"):
    print(f"{name}: {first[name]}, then {second[name]}")
stale = first["from_generator"] == second["from_generator"] == [1, 2, 3] and first["negatives"] == second["negatives"]
sys.exit(0 if stale and second["from_csv"] == [7, 8] else "The behaviour has changed.")
PY
