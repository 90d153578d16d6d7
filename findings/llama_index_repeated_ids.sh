#!/usr/bin/env bash
# Guess:    average precision and NDCG of llama-index lie between 0 and 1, and an id that is retrieved twice counts once, as in recall.
# Happens:  each repetition counts as a further hit: one relevant id, retrieved three times, has an average precision of 3.0 and an NDCG
#           of 2.13. With two relevant ids, one of them retrieved twice and the other not at all, both are 1.0. Recall is 0.5.
# Versions: llama-index-core 0.14.25.
# Matters:  ids repeat where chunks are mapped to their documents or items, and where the lists of two retrievers are joined. A retriever
#           that returns one item again and again has the best figures, and means above 1 are not seen among lower ones.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check llama-index-core==0.14.25
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

from llama_index.core.evaluation.retrieval.metrics import MRR, NDCG, AveragePrecision, Precision, Recall

print(f"llama-index-core {version('llama-index-core')}")
found = {}
for expected, retrieved in (("a", "abc"), ("a", "aaa"), ("ab", "aac"), ("ab", "abc")):
    metrics = (AveragePrecision(), NDCG(), Recall(), Precision(), MRR())
    scores = {type(metric).__name__: round(metric.compute(expected_ids=list(expected), retrieved_ids=list(retrieved)).score, 2) for metric in metrics}
    found[expected, retrieved] = scores["AveragePrecision"], scores["NDCG"], scores["Recall"]
    print(f"relevant {', '.join(expected)}, retrieved {', '.join(retrieved)}: {scores}")
expected = {("a", "abc"): (1.0, 1.0, 1.0), ("a", "aaa"): (3.0, 2.13, 1.0), ("ab", "aac"): (1.0, 1.0, 0.5), ("ab", "abc"): (1.0, 1.0, 1.0)}
sys.exit(0 if found == expected else "The behaviour has changed.")
PY
