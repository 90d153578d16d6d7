#!/usr/bin/env bash
# Guess:    torch.Generator.manual_seed takes a seed of 64 bits, as its documentation says, and jax.random.key does, or
#           refuses it: a seed made of two numbers, user * 2**32 + epoch or epoch * 2**32 + user, tells both apart.
# Happens:  on the CPU, both use the lower 32 bits alone. 17 and 17 + 5 * 2**32 are one stream, without a warning.
# Versions: torch 2.13.0 on the CPU, jax 0.10.2 without jax_enable_x64.
# Matters:  a number in the upper half changes nothing: with epoch * 2**32 + worker, each epoch has the negatives of the first.
#           Hashes of 64 bits are seeds of 32 bits: among 100,000 users, about one pair shares a stream.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 jax==0.10.2 numpy==2.4.6 scipy==1.17.1
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 JAX_PLATFORMS=cpu
"$folder/venv/bin/python" -W error::UserWarning - <<'PY'
import sys

import jax
import numpy as np
import torch

ITEMS = 10**6


def by_torch(seed):
    return torch.randint(ITEMS, (5,), generator=torch.Generator().manual_seed(seed)).tolist()


def by_jax(seed):
    return jax.random.randint(jax.random.key(seed), 5, 0, ITEMS).tolist()


def by_numpy(seed):
    return np.random.default_rng(seed).integers(ITEMS, size=5).tolist()


print(f"torch {torch.__version__}, jax {jax.__version__}, NumPy {np.__version__}: five negatives of a million items")
seeds = [17 + epoch * 2**32 for epoch in range(6)]
found = {}
for draw in (by_torch, by_jax, by_numpy):
    for seed in (seeds[0], seeds[5]):
        print(f"{draw.__name__}({seed}): {draw(seed)}")
    found[draw] = len({tuple(draw(seed)) for seed in seeds})
    print(f"{draw.__name__}: different draws of the seeds 17 + epoch * 2**32 for six epochs: {found[draw]}")
low = by_torch(18) != by_torch(17) and by_jax(18) != by_jax(17)
sys.exit(0 if list(found.values()) == [1, 1, 6] and low else "The behaviour has changed.")
PY
