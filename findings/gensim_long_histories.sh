#!/usr/bin/env bash
# Guess:    Word2Vec trains each place of each list, however long the list is; a file read by LineSentence gives the same.
# Happens:  places from 10,000 on are left out, in each epoch, without a warning. LineSentence cuts a long line into pieces of
#           10,000, and all of them are trained. Items that min_count or sample drop are not counted.
# Versions: gensim 4.4.0.
# Matters:  item2vec on lists by shop, by day, or of one long walk exceeds 10,000. In order of time, the newest items stand at the
#           end: they keep their random vectors, and yet are in the vocabulary and among the negatives. Cut the lists.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check gensim==4.4.0 numpy==2.2.6 scipy==1.15.3
cd "$folder"
OPENBLAS_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PY'
import logging
import sys

import gensim
import numpy as np
from gensim.models import Word2Vec
from gensim.models.word2vec import LineSentence

logging.basicConfig(level=logging.WARNING)
rng = np.random.default_rng(17)
places = [*(f"old{n}" for n in rng.integers(100, size=10_000)), *(f"new{n}" for n in rng.integers(50, size=5_000))]
with open("items.txt", "w") as file:
    file.write(" ".join(places))


def trained(lists, sg):
    """Returns how many of the old and of the new items have another vector after training."""
    model = Word2Vec(vector_size=8, min_count=1, sample=0, sg=sg, workers=1, seed=17)
    model.build_vocab(lists)
    before = model.wv.vectors.copy()
    model.train(lists, total_examples=model.corpus_count, epochs=5)
    items = [model.wv.index_to_key[row] for row in np.flatnonzero((model.wv.vectors != before).any(axis=1))]
    return [sum(item.startswith(age) for item in items) for age in ("old", "new")]


print(f"gensim {gensim.__version__}: 100 old items at the first 10,000 places of a list, 50 new items at the last 5,000")
found = []
for sg, name in ((1, "skip-gram"), (0, "CBOW")):
    one, lines = trained([places], sg), trained(LineSentence("items.txt"), sg)
    found += [one == [100, 0], lines == [100, 50]]
    print(f"{name}: a list trains {one[0]} old and {one[1]} new items; the same in a file, by LineSentence, {lines[0]} and {lines[1]}")
sys.exit(0 if all(found) else "The behaviour has changed.")
PY
