#!/usr/bin/env bash
# Guess:    a KeyedVectors whose keys are integer item ids raises KeyError for an id that it does not hold, as the docstring says.
# Happens:  an unknown integer below the number of vectors is taken for a position: `vectors[2]` is the vector of the third item,
#           `2 in vectors` is True, and most_similar, similarity and rank answer for it. Keys that are text raise.
# Versions: gensim 4.4.0, numpy 2.4.6.
# Matters:  items below min_count and new items get the vector of another item, which is among the most popular ones: Word2Vec
#           sorts by frequency. "Is it known?" is the usual test before falling back to popularity. Use key_to_index for it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check gensim==4.4.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from gensim.models import KeyedVectors, Word2Vec

print(", ".join(f"{name} {version(name)}" for name in ("gensim", "numpy")))
rng = np.random.default_rng(17)
items = np.minimum(rng.zipf(1.3, size=(400, 20)), 2_000)  # ids 1 to 2000, most of them rare
found = {}
for kind, convert in (("integers", int), ("text", str)):
    histories = [[convert(item) for item in row] for row in items]
    vectors = Word2Vec(histories, vector_size=8, min_count=5, workers=1, seed=17, epochs=1).wv
    known = set(vectors.index_to_key)
    unknown = [convert(item) for item in range(2_000) if convert(item) not in known]
    claimed = [item for item in unknown if item in vectors]
    answers = 0
    for item in claimed:
        answers += bool(np.array_equal(vectors[item], vectors[vectors.index_to_key[item]]))
    print(
        f"keys are {kind}: {len(known)} items are trained, {len(unknown)} are not; "
        f"`in` is True for {len(claimed)} of the latter, {answers} of them have the vector of another item"
    )
    found[kind] = len(claimed) > 0 and answers == len(claimed)
small = KeyedVectors(2)
small.add_vectors([1001, 1002, 1003], np.eye(3, 2, dtype=np.float32))
print(f"keys 1001, 1002, 1003: 1 in vectors is {1 in small}, vectors[1] is {small[1].tolist()}, similarity(1, 1002) is {small.similarity(1, 1002)}")
try:
    small[7]
    seven = "a vector"
except KeyError:
    seven = "KeyError"
print(f"vectors[7]: {seven}")
as_found = found == {"integers": True, "text": False} and 1 in small and small[1].tolist() == [0, 1] and seven == "KeyError"
sys.exit(0 if as_found else "The behaviour has changed.")
PY
