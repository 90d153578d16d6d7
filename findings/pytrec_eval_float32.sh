#!/usr/bin/env bash
# Guess:    pytrec_eval sorts by the Python floats that it is given, and breaks ties in their order, or at random.
# Happens:  scores become float32, and ties are broken by the reverse order of the documents' names as strings. Times in Unix
#           seconds are ties within two minutes, so that "item9" precedes "item10", the newer one.
# Versions: pytrec-eval-terrier 0.5.11.
# Matters:  a recency ranking is partly a ranking by name. A model that gives each item one score has the metrics of
#           "the last name first", and other libraries give other figures for the same run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pytrec-eval-terrier==0.5.11 numpy==2.2.6 scipy==1.15.3
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import pytrec_eval

print(f"pytrec-eval-terrier {version('pytrec-eval-terrier')}: ten items, each a number of seconds later than the one before")
evaluator = pytrec_eval.RelevanceEvaluator({"user": {"item10": 1}}, {"recip_rank"})
found = {}
for apart in (0, 1, 10, 60, 600):
    run = {f"item{number}": float(1_700_000_000 + apart * number) for number in range(1, 11)}
    found[apart] = evaluator.evaluate({"user": run})["user"]["recip_rank"]
    print(f"{apart:3} seconds apart: the newest item, item10, has rank {1 / found[apart]:.0f}")
as_found = found[600] == 1 and all(abs(found[apart] - 1 / 9) < 1e-9 for apart in (0, 1))
sys.exit(0 if as_found else "The behaviour has changed.")
PY
