#!/usr/bin/env bash
# Guess:    collection.get(ids=[...]) returns the records in the order of the ids, as a look-up of rows does.
# Happens:  they come in the order in which they were added, whatever order was asked for. Ids that are missing are left out, so the
#           result can be shorter too. The returned "ids" tell.
# Versions: chromadb 1.5.9. retrieve() of qdrant-client 1.20.0 and get() of pymilvus with milvus-lite 3.2.2 keep the order.
# Matters:  this is how vectors of a user's history, or of candidates to rank again, are fetched. Taken by position, each item
#           gets the vector of another one. Shapes are right, and a test with ids in the order of adding passes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check chromadb==1.5.9 qdrant-client==1.20.0 numpy==2.4.6
export ANONYMIZED_TELEMETRY=False HOME="$folder"
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import chromadb
import numpy as np
from qdrant_client import QdrantClient, models

ITEMS = 1000
rng = np.random.default_rng(17)
vectors = rng.normal(size=(ITEMS, 8)).astype("float32")
history = [int(item) for item in rng.permutation(ITEMS)[:50]]
collection = chromadb.EphemeralClient().create_collection("items")
collection.add(ids=[str(item) for item in range(ITEMS)], embeddings=vectors)
found = collection.get(ids=[str(item) for item in history], include=["embeddings"])
right = (np.asarray(found["embeddings"]) == vectors[history]).all(axis=1)
print(f"chromadb {version('chromadb')}: vectors of the items {history[:5]} ... of {ITEMS:,}")
print(f"ids in the result: {found['ids'][:5]} ...; {right.sum()} of {len(history)} vectors are in their places")

client = QdrantClient(":memory:")
client.create_collection("items", vectors_config=models.VectorParams(size=8, distance=models.Distance.DOT))
client.upsert("items", [models.PointStruct(id=item, vector=vectors[item].tolist()) for item in range(ITEMS)])
in_order = [point.id for point in client.retrieve("items", history)] == history
print(f"qdrant-client {version('qdrant-client')}: in order {in_order}")
added = [int(item) for item in found["ids"]] == sorted(history)
sys.exit(0 if added and right.sum() < 5 and in_order else "The behaviour has changed.")
PY
