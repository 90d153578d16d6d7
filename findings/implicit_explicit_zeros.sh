#!/usr/bin/env bash
# Guess:    an entry 0 of a sparse matrix is no interaction. implicit's BPR says that it takes "non zero entries" for likes.
#           So matrix.data = matrix.data >= 4 makes likes of ratings.
# Happens:  SciPy keeps these zeros as entries. BPR of implicit trains each as a positive, its metrics count them as relevant,
#           and "warp-kos" of LightFM trains them, too: a third or half of what they recommend are items that all users
#           dislike. ALS, and "warp" of LightFM, leave them out. eliminate_zeros() cures all.
# Versions: implicit 0.7.3, lightfm-next 1.19.0, scipy 1.15.3.
# Matters:  it is the shortest way from ratings to likes. Models learn the dislikes, and metrics from the same matrix reward
#           them for it: a model that recommends disliked items alone has a precision of 0.3, in place of 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  implicit==0.7.3 lightfm-next==1.19.0 scipy==1.15.3 numpy==1.25.0
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.evaluation import ranking_metrics_at_k
from lightfm import LightFM

rng = np.random.default_rng(17)
users, items, liked, rated = 400, 60, 30, 20
ids = np.concatenate([rng.choice(items, rated, replace=False) for _ in range(users)])
ratings = np.where(ids < liked, 5.0, 1.0)
zeros = sp.csr_matrix((ratings, ids, np.arange(users + 1) * rated), shape=(users, items))
zeros.data = (zeros.data >= 4).astype("float32")
clean = zeros.copy()
clean.eliminate_zeros()


def by_implicit(model, likes):
    model.fit(likes, show_progress=False)
    return model.recommend(np.arange(users), likes, N=5, filter_already_liked_items=False)[0]


def by_lightfm(loss, likes):
    model = LightFM(no_components=8, loss=loss, random_state=17).fit(likes.tocoo(), epochs=20, num_threads=1)
    scores = model.predict(np.repeat(np.arange(users), items), np.tile(np.arange(items), users))
    return np.argsort(-scores.reshape(users, items), axis=1)[:, :5]


options = {"random_state": 17, "num_threads": 1}
models = {
    "implicit BPR": lambda likes: by_implicit(BayesianPersonalizedRanking(factors=16, iterations=60, **options), likes),
    "implicit ALS": lambda likes: by_implicit(AlternatingLeastSquares(factors=8, iterations=15, **options), likes),
    "LightFM warp-kos": lambda likes: by_lightfm("warp-kos", likes),
    "LightFM warp": lambda likes: by_lightfm("warp", likes),
}
print(f"implicit {version('implicit')}, lightfm-next {version('lightfm-next')}, scipy {version('scipy')}")
print(f"{zeros.nnz:,} ratings, of which {clean.nnz:,} are likes; users like {liked} of {items} items, and dislike all the others")
found = {}
for name, recommended in models.items():
    found[name] = [(recommended(likes) < liked).mean() for likes in (zeros, clean)]
    print(f"{name}: {found[name][0]:.1%} of the recommended items are liked; {found[name][1]:.1%} without the zeros")
worst = AlternatingLeastSquares(factors=1, iterations=1, **options)
worst.fit(clean, show_progress=False)
worst.user_factors = np.ones((users, 1), "float32")
worst.item_factors = np.where(np.arange(items) < liked, -1, 1).astype("float32")[:, None]
nothing = sp.csr_matrix((users, items), dtype="float32")
precision = [ranking_metrics_at_k(worst, nothing, likes, K=10, show_progress=False)["precision"] for likes in (zeros, clean)]
print(f"a model of disliked items alone: precision {precision[0]:.3f}; {precision[1]:.3f} without the zeros")
as_found = all(shares[1] > 0.95 for shares in found.values()) and precision[0] > 0.2 and precision[1] == 0
as_found = as_found and all(found[name][0] < 0.8 for name in ("implicit BPR", "LightFM warp-kos"))
as_found = as_found and all(found[name][0] > 0.95 for name in ("implicit ALS", "LightFM warp"))
sys.exit(0 if as_found else "The behaviour has changed.")
PY
