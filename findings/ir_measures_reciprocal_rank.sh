#!/usr/bin/env bash
# Guess:    RR@10 of a run is at most its RR: the cutoff can only set a reciprocal rank to 0.
# Happens:  with equal scores, RR is 0.1 and RR@10 is 1.0. Each measure goes to the library that supports it: RR to trec_eval,
#           which orders ties by the reverse order of names; RR@10 to MS MARCO's script, where they are in order of name.
# Versions: ir-measures 0.4.3, pytrec-eval-terrier 0.5.11.
# Matters:  figures of one call, side by side in one table, rank the same run in two ways. A model with many ties, such as
#           popularity or a quantized score, seems better or worse by the choice of the cutoff.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  ir-measures==0.4.3 pytrec-eval-terrier==0.5.11 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import ir_measures
from ir_measures import AP, RR

items = [f"item{number}" for number in range(10)]
run = {"user": {item: 1.0 for item in items}}
print(f"ir-measures {version('ir-measures')}: ten items of equal score, in order of name, one of them is relevant")
found = {}
for item in (items[0], items[-1]):
    results = ir_measures.calc_aggregate([RR, RR @ 10, AP, AP @ 10], {"user": {item: 1}}, run)
    found[item] = {str(measure): round(value, 6) for measure, value in results.items()}
    print(f"{item} is relevant:", ", ".join(f"{measure} {found[item][measure]:.1f}" for measure in sorted(found[item])))
low = {"RR": 0.1, "RR@10": 1.0, "AP": 0.1, "AP@10": 0.1}
high = {"RR": 1.0, "RR@10": 0.1, "AP": 1.0, "AP@10": 1.0}
sys.exit(0 if found == {items[0]: low, items[-1]: high} else "The behaviour has changed.")
PY
