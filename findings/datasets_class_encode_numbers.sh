#!/usr/bin/env bash
# Guess:    class_encode_column("rating") of the numbers 1 to 10 gives them the classes 0 to 9, in order.
# Happens:  numbers become text first, and text is sorted: 1, 10, 2, ..., 9. Rating 10 is class 1, and rating 2 is class 2. So are
#           floats: 10.0 comes before 2.0. Ratings of one digit are in order.
# Versions: datasets 5.2.0.
# Matters:  train_test_split(stratify_by_column=...) asks for this encoding. A loss of ordered classes, a mean, a threshold
#           such as "class 6 or more is relevant" then take the best rating for one of the worst. `features` tells.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
export HF_HOME="$folder/home" HF_DATASETS_OFFLINE=1
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import datasets
import numpy as np

datasets.disable_progress_bars()
print(f"datasets {version('datasets')}")
found = {}
for name, highest, dtype in (("1 to 5", 5, int), ("1 to 10", 10, int), ("1.0 to 10.0", 10, float)):
    ratings = list(map(dtype, range(1, highest + 1))) * 20
    data = datasets.Dataset.from_dict({"rating": ratings}).class_encode_column("rating")
    classes = data["rating"][:highest]
    correlation = np.corrcoef(ratings, data["rating"][:])[0, 1]
    found[name] = classes, correlation
    print(f"ratings {name}: classes {classes}, names {data.features['rating'].names}, correlation {correlation:.2f}")
split = data.train_test_split(0.2, stratify_by_column="rating", seed=17)
print(f"a stratified split of them: {split['test'].num_rows} rows")
in_order = found["1 to 5"][0] == list(range(5))
as_text = [0, 2, 3, 4, 5, 6, 7, 8, 9, 1]
as_found = in_order and found["1 to 10"][0] == found["1.0 to 10.0"][0] == as_text and found["1 to 10"][1] < 0.6
sys.exit(0 if as_found else "The behaviour has changed.")
PY
