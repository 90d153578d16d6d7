#!/usr/bin/env bash
# Guess:    for each negative, BasicNegativeSampler draws at random which side to replace, the user or the item, as its
#           documentation describes.
# Happens:  the place in the batch decides. Rows of the first half get other users only, all of their negatives, and rows of the
#           second half other items only. A seed changes nothing in that.
# Versions: pykeen 1.11.1, torch 2.13.0. BernoulliNegativeSampler draws the side for each negative.
# Matters:  in a batch sorted by user or by time, the first users never get a negative item: their order of items is not
#           trained, and the others get no negative user. Metrics of the average user hide it. Shuffle within each batch.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pykeen==1.11.1 torch==2.13.0 numpy==1.26.4
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES="" HOME="$folder"
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import torch
from pykeen.sampling import BasicNegativeSampler, BernoulliNegativeSampler

USERS, ITEMS, EACH, NEGATIVES = 100, 900, 10, 20
users = torch.arange(USERS).repeat_interleave(EACH)
items = USERS + torch.randint(ITEMS, (USERS * EACH,), generator=torch.Generator().manual_seed(17))
positives = torch.stack([users, torch.zeros_like(users), items], dim=1)
print(f"pykeen {version('pykeen')}: {EACH} items for each of {USERS} users, sorted by user; {NEGATIVES} negatives for each item")
found = {}
for sampler in (BasicNegativeSampler, BernoulliNegativeSampler):
    for seed in (0, 1):
        torch.manual_seed(seed)
        negatives, _ = sampler(mapped_triples=positives, num_negs_per_pos=NEGATIVES).sample(positives)
        other_items = (negatives[..., 2] != items[:, None]).view(USERS, -1).double().mean(dim=1)
        found[sampler, seed] = shares = other_items.tolist()
        print(f"{sampler.__name__}, seed {seed}: share of negatives that are other items, for users 0, 49, 50, 99: "
              + ", ".join(f"{shares[user]:.2f}" for user in (0, 49, 50, 99)))
halves = [0.0] * (USERS // 2) + [1.0] * (USERS // 2)
by_row = all(found[BasicNegativeSampler, seed] == halves for seed in (0, 1))
drawn = all(0 < share < 1 for share in found[BernoulliNegativeSampler, 0])
sys.exit(0 if by_row and drawn else "The behaviour has changed.")
PY
