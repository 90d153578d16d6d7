#!/usr/bin/env bash
# Guess:    alpha in train_neg_sample_args flattens the negatives of training alone. The mode "pop100" of the evaluation
#           draws its candidates by popularity, whatever the training does.
# Happens:  evaluation reuses the training's sampler where both are by popularity, alpha included: with alpha 0 the test
#           candidates of "pop100" are uniform.
# Versions: recbole 1.2.1, torch 2.13.0.
# Matters:  a search over alpha changes the difficulty of the test along with the model. Uniform candidates are easier,
#           so that metrics rise without a better model.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  recbole==1.2.1 torch==2.13.0 numpy==1.26.4 pandas==1.5.3 scipy==1.10.1
cd "$folder"
venv/bin/python -W ignore - 2>log <<'PY' || { tail -n 5 log >&2; exit 1; }
import pathlib
import sys

import numpy as np
import recbole
from recbole.config import Config
from recbole.data import create_dataset, data_preparation

rng = np.random.default_rng(17)
users, items = 400, 50
popularity = 1 / np.arange(1, items + 1)
pathlib.Path("toy").mkdir()
with open("toy/toy.inter", "w") as file:
    file.write("user_id:token\titem_id:token\ttimestamp:float\n")
    for user in range(users):
        for time, item in enumerate(rng.choice(items, 8, replace=False, p=popularity / popularity.sum())):
            file.write(f"{user}\t{item}\t{time}\n")
print(f"recbole {recbole.__version__}: evaluation mode pop100, {items} items")
share = {}
for alpha in (1.0, 0.0):
    settings = {
        "data_path": ".",
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "use_gpu": False,
        "state": "ERROR",
        "train_neg_sample_args": {"distribution": "popularity", "sample_num": 1, "alpha": alpha},
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "pop100"},
    }
    config = Config(model="BPR", dataset="toy", config_dict=settings)
    dataset = create_dataset(config)
    _, _, test = data_preparation(config, dataset)
    np.random.seed(17)
    candidates = test._sampler.sample_by_user_ids(np.arange(1, dataset.user_num), None, 100).numpy()
    counts = np.bincount(dataset.inter_feat["item_id"].numpy(), minlength=dataset.item_num)
    share[alpha] = np.isin(candidates, np.argsort(-counts)[:10]).mean()
    print(f"training's alpha {alpha}: {share[alpha]:.1%} of the test candidates are among the ten most popular items")
sys.exit(0 if share[1.0] > 2 * share[0.0] else "The behaviour has changed.")
PY
