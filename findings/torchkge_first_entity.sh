#!/usr/bin/env bash
# Guess:    UniformNegativeSampler replaces the user or the item of a fact by any entity, each with the same chance.
# Happens:  entity 0 is never drawn: the numbers are drawn from 1 on. BernoulliNegativeSampler has the same bounds.
# Versions: torchkge 0.17.7, torch 2.13.0.
# Matters:  entities are numbered from 0, and with an `ent2ix` by frequency, 0 is the most popular item. Its score is pulled up by all of
#           its facts and never pushed down, so that it rises in the ranking of each user. Put an unused name first in `ent2ix`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torchkge==0.17.7 torch==2.13.0 numpy==2.4.6 pandas==3.1.1
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import pandas as pd
import torch
from torchkge.data_structures import KnowledgeGraph
from torchkge.sampling import BernoulliNegativeSampler, UniformNegativeSampler

print(", ".join(f"{name} {version(name)}" for name in ("torchkge", "torch")))
torch.manual_seed(17)
facts = pd.DataFrame({"from": [f"user{n % 40}" for n in range(600)], "to": [f"item{n * n % 60}" for n in range(600)], "rel": "clicked"})
items = facts["to"].value_counts().index.tolist()
users = facts["from"].unique().tolist()
by_frequency = {name: number for number, name in enumerate(items + users)}
found = {}
for first in (0, 1):  # 1: number 0 stands for an entity without facts
    ent2ix = {name: number + first for name, number in by_frequency.items()}
    if first:
        ent2ix = {"unused": 0, **ent2ix}
    graph = KnowledgeGraph(df=facts, ent2ix=ent2ix, rel2ix={"clicked": 0})
    for sampler in (UniformNegativeSampler, BernoulliNegativeSampler):
        heads, tails = sampler(graph, n_neg=200).corrupt_batch(graph.head_idx, graph.tail_idx, graph.relations)
        replaced = torch.cat([heads[heads != graph.head_idx.repeat(200)], tails[tails != graph.tail_idx.repeat(200)]])
        counts = torch.bincount(replaced, minlength=graph.n_ent)[first:]
        found[first, sampler.__name__] = int(counts[0]), int(counts[1:].min()), int(counts[1:].max())
        print(
            f"{sampler.__name__}, {items[0]} is entity {first}: drawn {counts[0]} times as a negative, "
            f"the others {int(counts[1:].min())} to {int(counts[1:].max())} times"
        )
as_found = all((drawn == 0) == (first == 0) and low > 500 for (first, _), (drawn, low, _) in found.items())
sys.exit(0 if as_found else "The behaviour has changed.")
PY
