#!/usr/bin/env bash
# Guess:    with ns_exponent=1, each token of the vocabulary is drawn as a negative in proportion to its count.
# Happens:  the table of negatives has 2**31 slots and rounds. In a corpus of 1e11 tokens, nine of ten tokens of count 5 get
#           no slot and can never be drawn; the tenth is drawn nine times too often. The exponent 0.75 leaves none out.
# Versions: gensim 4.4.0.
# Matters:  min_count=5 keeps such tokens in the vocabulary. Item2vec on logs of this size never pushes them down.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check gensim==4.4.0 numpy==2.2.6 scipy==1.15.3
"$folder/venv/bin/python" - <<'PY'
import sys

import gensim
import numpy as np
from gensim.models import Word2Vec

counts = {f"popular{rank}": 10**11 // 8 // (rank + 1) for rank in range(2000)}
counts.update({f"rare{number}": 5 for number in range(1000)})
print(f"gensim {gensim.__version__}: {sum(counts.values()):.3g} tokens, 1,000 of the vocabulary have count 5")
without = {}
for exponent in (1.0, 0.75):
    model = Word2Vec(vector_size=2, min_count=5, ns_exponent=exponent)
    model.build_vocab_from_freq(counts)
    slots = np.diff(model.cum_table.astype("int64"), prepend=0)
    rare = slots[[model.wv.key_to_index[f"rare{number}"] for number in range(1000)]]
    without[exponent] = int((rare == 0).sum())
    print(f"ns_exponent={exponent}: {without[exponent]} of the 1,000 have no slot")
sys.exit(0 if 850 < without[1.0] < 950 and without[0.75] == 0 else "The behaviour has changed.")
PY
