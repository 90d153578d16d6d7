#!/usr/bin/env bash
# Guess:    NDCG divides the gain at rank r by log2(r + 1): one relevant item has 1.0 at rank 1, and 0.63 at rank 2.
# Happens:  LensKit divides by log2(r), and by 1 at the ranks 1 and 2, as the paper of 2002 does: an item at rank 2 has an NDCG of 1.0,
#           and at each later rank it has what scikit-learn gives one rank before. With two relevant items, finding one has 0.5, not 0.61.
# Versions: lenskit 2025.8.1, numpy 2.4.6.
# Matters:  with one held-out item, figures are up to 1.6 times those of scikit-learn for the same ranking, and a model that puts
#           the item second is as good as one that puts it first. RecipRank tells them apart.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check lenskit==2025.8.1 torch==2.13.0 numpy==2.4.6 pandas==2.3.3 scikit-learn==1.9.1
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys

import lenskit
import numpy as np
from lenskit.data import ItemList
from lenskit.metrics import NDCG, RecipRank
from sklearn.metrics import ndcg_score

print(f"lenskit {lenskit.__version__}")
ranking = ItemList(item_ids=range(1, 11), ordered=True)
scores = np.arange(10, 0, -1)
found = {}
for relevant in ([1], [2], [3], [10], [1, 99], [2, 3]):
    truth = ItemList(item_ids=relevant)
    labels = np.isin(np.arange(1, 12), [min(item, 11) for item in relevant])  # item 99 is not in the ranking
    other = ndcg_score([labels], [[*scores, 0]], k=10)
    found[tuple(relevant)] = [round(float(value), 2) for value in (NDCG(10).measure_list(ranking, truth), other, RecipRank(10).measure_list(ranking, truth))]
    values = found[tuple(relevant)]
    places = " and ".join("nowhere" if item == 99 else f"at rank {item}" for item in relevant)
    print(f"relevant {places}: NDCG@10 {values[0]}, of scikit-learn {values[1]}, reciprocal rank {values[2]}")
expected = {
    (1,): [1.0, 1.0, 1.0],
    (2,): [1.0, 0.63, 0.5],
    (3,): [0.63, 0.5, 0.33],
    (10,): [0.3, 0.29, 0.1],
    (1, 99): [0.5, 0.61, 1.0],
    (2, 3): [0.82, 0.69, 0.5],
}
sys.exit(0 if found == expected else "The behaviour has changed.")
PY
