#!/usr/bin/env bash
# Guess:    HashingEncoder hashes a column's name with its value, as the hashing trick and scikit-learn's FeatureHasher do:
#           user 7 and item 7 are two features.
# Happens:  it hashes the value alone. "7" as a user and "7" as an item add to the same output column, whatever
#           n_components is, and the rows (user 7, item 9) and (user 9, item 7) become the same.
# Versions: category_encoders 2.11.2, pandas 2.3.3, scikit-learn 1.9.1.
# Matters:  ids of users, items and categories are small integers in all columns. More output columns do not help, and no
#           model can learn from such features which of the two was the user.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    category_encoders==2.11.2 numpy==1.26.4 pandas==2.3.3 scipy==1.13.1 scikit-learn==1.9.1
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
"$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from category_encoders import HashingEncoder
from sklearn.feature_extraction import FeatureHasher

width = 1 << 10
data = pd.DataFrame({"user": ["7", "9"], "item": ["9", "7"]})
encoder = HashingEncoder(cols=["user", "item"], n_components=width, max_process=1)
hashed = encoder.fit_transform(data).to_numpy()
named = FeatureHasher(width, alternate_sign=False).transform(data.to_dict("records")).toarray()
print(f"category_encoders {version('category_encoders')}: (user 7, item 9) and (user 9, item 7), {width:,} output columns")
found = {}
for name, rows in (("HashingEncoder", hashed), ("scikit-learn's FeatureHasher", named)):
    found[name] = np.array_equal(rows[0], rows[1])
    print(f"{name}: {'one and the same row' if found[name] else 'two different rows'}, ones in {np.flatnonzero(rows.any(axis=0))}")
sys.exit(0 if list(found.values()) == [True, False] else "The behaviour has changed.")
PY
