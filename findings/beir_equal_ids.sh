#!/usr/bin/env bash
# Guess:    queries and documents have ids of their own: the user "3" and the item "3" are unrelated to an evaluation.
# Happens:  evaluate leaves out item "3" of user "3", as if a query had found itself. It removes the item from the caller's run,
#           too, so that all metrics computed later, by any library, miss it. Only a log line tells.
#           ignore_identical_ids=False, or a prefix for one kind of ids, cures it.
# Versions: beir 2.2.0, pytrec-eval-terrier 0.5.11.
# Matters:  users and items are numbered from 0, and both by frequency as a rule: active users lose the most popular items.
#           A perfect ranking of five items, one of them with the user's number, has a recall of 0.8.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
  beir==2.2.0 pytrec-eval-terrier==0.5.11 numpy==2.4.6 tqdm==4.67.1
export OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

from beir.retrieval.evaluation import EvaluateRetrieval

USERS, RELEVANT = 10, 5
print(f"beir {version('beir')}: the {RELEVANT} relevant items of each user are ranked first, the user's number is one of them")
found = {}
for prefix in ("", "item"):
    for ignore in (True, False):
        items = {str(user): [f"{prefix}{(user + step) % USERS}" for step in range(RELEVANT)] for user in range(USERS)}
        relevant = {user: dict.fromkeys(best, 1) for user, best in items.items()}
        run = {user: {item: 1.0 - place / 10 for place, item in enumerate(best)} for user, best in items.items()}
        settings = {} if ignore else {"ignore_identical_ids": False}
        ndcg, _, recall, _ = EvaluateRetrieval.evaluate(relevant, run, [10], **settings)
        left = sum(map(len, run.values()))
        found[prefix, ignore] = recall["Recall@10"], left
        print(f"items {items['3']} of user '3', {settings}: recall {recall['Recall@10']}, NDCG {ndcg['NDCG@10']}")
        print(f"  the caller's run had {USERS * RELEVANT} entries, now {left}")
lost = found.pop(("", True))
sys.exit(0 if lost == (0.8, 40) and set(found.values()) == {(1.0, 50)} else "The behaviour has changed.")
PY
