#!/usr/bin/env bash
# Guess:    sampled_softmax in Transformers4Rec draws max_n_samples distinct negatives log-uniformly, and its table of
#           probabilities says how often each item is drawn.
# Happens:  it draws twice as many, lets unique() sort them by id, and keeps the head: 100 of a million items never reach the
#           rarer 90 %, which the table says are a third of the negatives. With unique_sampling=False draws are distinct too, so that
#           item 0 is drawn once in each batch, not five times.
# Versions: transformers4rec 23.12.0, torch 2.13.0.
# Matters:  logits of items in the tail are never pushed down and rise to the top of recommendations. The correction
#           trusts the table.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  nvtabular==23.8.0 merlin-core==23.8.0 merlin-dataloader==23.8.0 dask==2023.3.2 distributed==2023.3.2.1 dask-cuda==23.6.0 \
  pandas==1.5.3 numpy==1.26.4 pyarrow==15.0.2 scipy==1.15.3 numba==0.68.1 "setuptools==80.9.0" \
  torch==2.13.0 transformers==4.30.2 torchmetrics==1.9.0 betterproto==1.2.5 PyYAML==6.0.2 merlin-models==23.12.0
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps transformers4rec==23.12.0
"$folder/venv/bin/python" -W ignore - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import sys
from importlib.metadata import version

import torch
from transformers4rec.torch.model.prediction_task import LogUniformSampler

torch.manual_seed(17)
items, samples, batches = 1_000_000, 100, 300
edges = [0, 10, 100, 1_000, 10_000, 100_000, items]
print(f"transformers4rec {version('transformers4rec')}: {samples} negatives of {items:,} items, mean of {batches} batches")
drawn, said = {}, {}
for unique in (True, False):
    sampler = LogUniformSampler(samples, items, unique_sampling=unique)
    times = torch.zeros(items + 1)
    for _ in range(batches):
        times[sampler.sample(torch.tensor([0]))[0]] += 1 / batches
    table = sampler.unique_sampling_dist if unique else samples * sampler.dist
    print(f"unique_sampling={unique}: item 0 drawn {times[0]:.2f} times a batch, the table says {table[0]:.2f}")
    for low, high in zip(edges, edges[1:]):
        drawn[unique, low], said[unique, low] = float(times[low:high].sum()), float(table[low:high].sum())
        print(f"  items {low:7,} to {high:9,}: drawn {drawn[unique, low]:5.2f} times a batch, the table says {said[unique, low]:5.2f}")
    drawn[unique, "first"], said[unique, "first"] = float(times[0]), float(table[0])
as_found = drawn[True, 100_000] == 0 and said[True, 100_000] > 30 and drawn[False, "first"] <= 1 < 4 < said[False, "first"]
sys.exit(0 if as_found else "The behaviour has changed.")
PY
