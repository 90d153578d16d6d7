#!/usr/bin/env bash
# Guess:    sp_matmul_topn(users, items, top_n=10), without a threshold, keeps the ten largest scores of each user.
# Happens:  only scores above 0 are kept, as if threshold were 0. A user whose scores are all negative has no candidate at all.
#           threshold=-1e9 keeps ten. The documentation gives no default.
# Versions: sparse-dot-topn 1.2.0.
# Matters:  inner products of trained vectors are negative for most items, and popular items or a bias shift all scores of a user.
#           Users then get fewer candidates than asked for, some none, and recall counts the missing ones as misses.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sparse-dot-topn==1.2.0 scipy==1.17.1 numpy==2.4.6
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import scipy.sparse as sp
from sparse_dot_topn import sp_matmul_topn

USERS, ITEMS, K = 1000, 500, 10
rng = np.random.default_rng(17)
users = rng.normal(size=(USERS, 16))
items = rng.normal(size=(16, ITEMS))
users[:, 0], items[0] = 1.0, -12.0  # a bias that moves all scores down
scores = users @ items
best = np.sort(scores, axis=1)[:, ::-1][:, :K]
print(f"sparse-dot-topn {version('sparse-dot-topn')}: the best {K} of {ITEMS} items for {USERS:,} users")
found = {}
for name, options in (("default", {}), ("threshold=0", {"threshold": 0.0}), ("threshold=-1e9", {"threshold": -1e9})):
    result = sp_matmul_topn(sp.csr_matrix(users), sp.csr_matrix(items), top_n=K, sort=True, **options)
    sizes = np.diff(result.indptr)
    found[name] = sizes
    print(f"{name}: {sizes.mean():.1f} candidates for a user, {(sizes == 0).mean():.0%} of users have none")
complete = np.allclose(result.data.reshape(USERS, K), best)
positive = np.minimum((scores > 0).sum(axis=1), K)
as_found = np.array_equal(found["default"], positive) and np.array_equal(found["threshold=0"], positive)
sys.exit(0 if as_found and complete and (positive == 0).any() and (positive < K).mean() > 0.5 else "The behaviour has changed.")
PY
