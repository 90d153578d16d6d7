#!/usr/bin/env bash
# Guess:    popularity negatives of the training are drawn by the counts of the training data.
# Happens:  they are drawn by the counts of the whole data set, validation and test included. An item that has no row in the training data,
#           but is each user's test item, is one of seven negatives.
# Versions: recbole 1.2.1, torch 2.13.0.
# Matters:  the training is told which items the test will ask for, and pushes them down: results with popularity negatives are
#           too low on data with new items, and no longer free of the test data.
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
np.random.seed(17)
pathlib.Path("toy").mkdir()
with open("toy/toy.inter", "w") as file:
    file.write("user_id:token\titem_id:token\ttimestamp:float\n")
    for user in range(400):
        for time, item in enumerate([*rng.choice(40, 6, replace=False), "new"]):
            file.write(f"{user}\t{item}\t{time}\n")
settings = {
    "data_path": ".",
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "use_gpu": False,
    "state": "ERROR",
    "train_neg_sample_args": {"distribution": "popularity", "sample_num": 1, "alpha": 1.0},
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
}
config = Config(model="BPR", dataset="toy", config_dict=settings)
dataset = create_dataset(config)
train, _, test = data_preparation(config, dataset)
new = dataset.token2id("item_id", "new")
rows = {name: int((part.dataset.inter_feat["item_id"] == new).sum()) for name, part in (("train", train), ("test", test))}
print(f"recbole {recbole.__version__}: 400 users, the item 'new' is the last of each: {rows['train']} rows in train, {rows['test']} in test")
drawn = train._sampler.sample_by_user_ids(np.arange(1, dataset.user_num), None, 50).numpy()
share = float((drawn == new).mean())
print(f"share of 'new' among {drawn.size:,} training negatives: {share:.3f}")
print(f"its share of all rows: {1 / 7:.3f}")
sys.exit(0 if rows == {"train": 0, "test": 400} and share > 0.1 else "The behaviour has changed.")
PY
