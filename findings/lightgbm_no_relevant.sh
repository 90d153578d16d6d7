#!/usr/bin/env bash
# Guess:    a query without a relevant candidate counts 0 in the NDCG and MAP that LightGBM reports, or is left out.
# Happens:  it counts 1.0. Random scores have NDCG@10 0.04, and 0.52 once half of the queries have lost their positive.
# Versions: lightgbm 4.7.0.
# Matters:  a reranker's candidates come from a retrieval model, which misses the positive of some queries. The worse the
#           retrieval, the better the reranker looks; figures of two retrieval models cannot be compared.
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

queries, candidates = 40, 100
rows, rng = queries * candidates, np.random.default_rng(17)
features, scores = rng.normal(size=(rows, 1)), rng.normal(size=rows)
# no leaf may hold fewer rows than there are: the trees add nothing to the scores given
settings = {"objective": "lambdarank", "metric": ["ndcg", "map"], "eval_at": [10], "min_data_in_leaf": rows}
settings.update({"verbose": -1, "num_threads": 1})
print(f"LightGBM {lgb.__version__}: random scores, {queries} queries of {candidates} candidates")
found = {}
for missed in (0, queries // 2):
    labels = np.zeros((queries, candidates))
    labels[missed:, 0] = 1
    data = lgb.Dataset(features, labels.ravel(), group=np.full(queries, candidates), init_score=scores)
    results = {}
    record = lgb.record_evaluation(results)
    lgb.train(settings, data, 1, valid_sets=[data], valid_names=["data"], callbacks=[record])
    found[missed] = {name: values[0] for name, values in results["data"].items()}
    shown = ", ".join(f"{name} {value:.3f}" for name, value in found[missed].items())
    print(f"{missed} queries without a positive: {shown}")
low, high = found[0], found[queries // 2]
as_found = all(low[name] < 0.1 and 0.5 <= high[name] < 0.6 for name in ("ndcg@10", "map@10"))
sys.exit(0 if as_found else "The behaviour has changed.")
PY
