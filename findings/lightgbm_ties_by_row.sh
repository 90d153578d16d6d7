#!/usr/bin/env bash
# Guess:    the NDCG that LightGBM reports for equal scores is that of chance: 0.045 at 10 for one positive among 100.
# Happens:  rows with equal scores stay in the order of the data. With the positive in the first row of each query, a
#           constant model has NDCG 1.0; with the positive in the last row, 0.0.
# Versions: lightgbm 4.7.0.
# Matters:  candidates are often written as "the positive, then its negatives". Each tie then counts as won, and trees
#           with few leaves, or features of few values, give many ties.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check lightgbm==4.7.0 numpy==1.26.4 scipy==1.13.1
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import sys

import lightgbm as lgb
import numpy as np

queries, candidates = 20, 100
rows = queries * candidates
features = np.random.default_rng(17).normal(size=(rows, 1))
# no leaf may hold fewer rows than there are: the model is a constant
settings = {"objective": "lambdarank", "metric": "ndcg", "eval_at": [10], "min_data_in_leaf": rows, "verbose": -1}
print(f"LightGBM {lgb.__version__}: a constant model, {queries} queries of one positive among {candidates} candidates")
found = {}
for row in (0, candidates - 1):
    labels = np.zeros((queries, candidates))
    labels[:, row] = 1
    data = lgb.Dataset(features, labels.ravel(), group=np.full(queries, candidates))
    results = {}
    settings["num_threads"] = 1
    record = lgb.record_evaluation(results)
    model = lgb.train(settings, data, 1, valid_sets=[data], valid_names=["data"], callbacks=[record])
    assert len(set(model.predict(features))) == 1
    found[row] = results["data"]["ndcg@10"][0]
    print(f"positive in row {row}: NDCG@10 {found[row]:.3f}")
sys.exit(0 if found[0] == 1 and found[candidates - 1] == 0 else "The behaviour has changed.")
PY
