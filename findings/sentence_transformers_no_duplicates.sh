#!/usr/bin/env bash
# Guess:    the batch sampler NO_DUPLICATES puts rows with the same item into different batches. An epoch still trains each row
#           once, and all batches but the last few are full.
# Happens:  full batches run out as soon as only rows of popular items are left. Batches then shrink, in the end to one row,
#           and there are far more of them than the trainer counts. It ends the epoch after rows / batch size steps: of 10,000 rows
#           with Zipf items it trains 7,000, and 79 of 1,257 pairs of the most popular item. No warning tells.
# Versions: sentence-transformers 6.2.0, transformers 5.24.0, torch 2.13.0.
# Matters:  this sampler is recommended for in-batch negatives. Each item is at most once in a batch, so pairs and
#           negatives no longer follow the popularity that a logQ correction assumes, and a third of the steps has few negatives.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  sentence-transformers==6.2.0 transformers==5.24.0 tokenizers==0.23.3 accelerate==1.15.0 datasets==5.2.0 torch==2.13.0 numpy==2.2.6
export HF_HUB_OFFLINE=1 HF_HOME="$folder/home" OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 CUDA_VISIBLE_DEVICES="" TRANSFORMERS_VERBOSITY=error
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer, models, pre_tokenizers

ROWS, ITEMS, BATCH = 10_000, 2_000, 128
rng = np.random.default_rng(17)
weights = 1 / np.arange(1, ITEMS + 1)
items = rng.choice(ITEMS, ROWS, p=weights / weights.sum())
words = ["unknown", *(f"item{item}" for item in range(ITEMS)), *(f"user{user}" for user in range(ROWS))]
data = Dataset.from_dict({"anchor": [f"user{user}" for user in range(ROWS)], "positive": [f"item{item}" for item in items]})


class Counted(MultipleNegativesRankingLoss):
    """Keeps the items of each batch."""

    def forward(self, features, labels=None):
        batches.append(features[1]["input_ids"].flatten().numpy() - 1)
        return super().forward(features, labels)


def trained(batch_sampler):
    """Trains one epoch; fills `batches`."""
    batches.clear()
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(words)}, unk_token="unknown"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    arguments = SentenceTransformerTrainingArguments(
        output_dir="output", per_device_train_batch_size=BATCH, num_train_epochs=1, batch_sampler=batch_sampler, seed=17,
        use_cpu=True, save_strategy="no", logging_strategy="no", disable_tqdm=True, report_to=[],
    )
    SentenceTransformerTrainer(model=model, args=arguments, train_dataset=data, loss=Counted(model)).train()


batches, found = [], {}
count = int((items == 0).sum())
print(f"sentence-transformers {version('sentence-transformers')}: {ROWS:,} pairs of {ITEMS:,} Zipf items, one epoch, batches of {BATCH}")
for batch_sampler in ("batch_sampler", "no_duplicates"):
    trained(batch_sampler)
    sizes, seen = np.array([len(batch) for batch in batches]), np.concatenate(batches)
    found[batch_sampler] = len(seen), int((seen == 0).sum())
    print(
        f"{batch_sampler}: {len(sizes)} steps, {(sizes < BATCH / 2).sum()} of them with less than half a batch; "
        f"{len(seen):,} pairs, and {found[batch_sampler][1]:,} of the {count:,} of item 0"
    )
as_found = found["batch_sampler"] == (ROWS, count) and found["no_duplicates"][0] < 0.8 * ROWS and found["no_duplicates"][1] < 0.1 * count
sys.exit(0 if as_found else "The behaviour has changed.")
PY
