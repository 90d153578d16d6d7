#!/usr/bin/env bash
# Guess:    precision_at_k is the share of the K recommended items that are relevant: with one relevant item per user it
#           is at most 1/K.
# Happens:  the divisor is min(K, relevant items), summed over the users: with one relevant item per user the "precision" at 10
#           is the recall at 10, up to 1.0.
# Versions: implicit 0.7.3.
# Matters:  such figures stand beside other libraries' in papers and dashboards, ten times as high for the same lists.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check implicit==0.7.3 numpy==1.26.4 scipy==1.13.1
export OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from implicit.evaluation import precision_at_k
from scipy.sparse import csr_matrix


class Fixed:
    """Recommends the items 0 to N - 1 to each user, item 0 first."""

    def recommend(self, users, user_items, N=10, **settings):
        ids = np.tile(np.arange(N, dtype=np.int32), (len(users), 1))
        return ids, -ids.astype(np.float32)


users, items = 100, 50
print(f"implicit {version('implicit')}: {users} users, the items 0 to 9 are recommended to each")
found = {}
for relevant in (1, 5, 20):
    test = np.zeros((users, items), np.float32)
    test[:, :relevant] = 1
    train = csr_matrix(np.eye(users, items, items - 1, dtype=np.float32))
    found[relevant] = precision_at_k(Fixed(), train, csr_matrix(test), K=10, show_progress=False)
    print(f"{relevant} relevant: {min(relevant, 10)} of the 10 recommended are relevant, precision_at_k {found[relevant]:.2f}")
sys.exit(0 if set(found.values()) == {1.0} else "The behaviour has changed.")
PY
