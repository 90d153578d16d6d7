#!/usr/bin/env bash
# Guess:    jax.random.categorical draws each of ten million items in proportion to its weight, as it needs no running sum.
# Happens:  it adds Gumbel noise to the logits. The noise is made of 23 random bits and never exceeds 16, so an item of
#           probability 2.5e-8 cannot win against a popular one. Ten million such items have a quarter of the weight, and
#           are hardly drawn. mode="high" takes more bits, and draws them as it should.
# Versions: jax 0.10.2, on the CPU.
# Matters:  it is the way out of jax.random.choice with weights, which loses the tail too. Rare items get no negatives, while
#           the logQ correction takes them to be drawn.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jax==0.10.2 numpy==2.4.6 scipy==1.17.1
export OPENBLAS_NUM_THREADS=1 JAX_PLATFORMS=cpu
"$folder/venv/bin/python" - <<'PY'
import sys

import jax
import jax.numpy as jnp

popular, items, draws = 100, 10_000_000, 24
logits = jnp.log(jnp.where(jnp.arange(items) < popular, 0.75 / popular, 0.25 / (items - popular)))
print(f"jax {jax.__version__}: {draws} draws; {popular} items have 3/4 of the weight, {items - popular:,} the rest")
found = {}
for mode in (None, "high"):
    draw = jax.jit(lambda key, mode=mode: jax.random.categorical(key, logits, mode=mode))
    found[mode] = sum(int(draw(jax.random.key(number))) >= popular for number in range(draws))
    print(f"mode={mode}: the rare items are drawn {found[mode]} times, due {draws // 4}")
as_found = found[None] <= 1 and found["high"] >= 3
sys.exit(0 if as_found else "The behaviour has changed.")
PY
