#!/usr/bin/env bash
# Guess:    PopularityBasedSamplerV2(max_id=9) draws the ids 0 to 9: max_id is "the maximum id value to be sampled".
# Happens:  id 9 is never drawn, though the table of probabilities that corrects the logits has an entry for it.
# Versions: merlin-models 23.12.0, TensorFlow 2.12.0.
# Matters:  with the largest id of the schema's domain, the last item is never a negative. It keeps its first logit, and rises
#           in the recommendations as all others are pushed down.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  merlin-models==23.12.0 merlin-core==23.8.0 merlin-dataloader==23.8.0 tensorflow-cpu==2.12.0 keras==2.12.0 \
  tensorflow-metadata==1.16.1 protobuf==4.25.9 dask==2023.3.2 distributed==2023.3.2.1 dask-cuda==23.6.0 \
  pandas==1.5.3 numpy==1.23.5 pyarrow==15.0.2 scipy==1.15.3 numba==0.68.1 "setuptools==80.9.0"
export TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES=""
"$folder/venv/bin/python" -W ignore - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import sys
from importlib.metadata import version

import numpy as np
from merlin.models.tf.outputs.sampling.popularity import PopularityBasedSamplerV2

print(f"merlin-models {version('merlin-models')}: PopularityBasedSamplerV2, 2,000 batches of five")
as_found = True
for first, last in ((0, 9), (3, 9)):
    sampler = PopularityBasedSamplerV2(max_id=last, min_id=first, max_num_samples=5, unique=False, seed=17)
    drawn = np.bincount(np.concatenate([sampler.sample().id.numpy().ravel() for _ in range(2_000)]), minlength=last + 1)
    table = sampler.get_sampling_distribution().numpy()
    print(f"min_id={first}, max_id={last}: ids {first} to {last} drawn {drawn[first:].tolist()} times")
    print(f"  the table of probabilities has {len(table)} entries, {table[last]:.3f} for id {last}")
    as_found &= drawn[last] == 0 and (drawn[first:last] > 0).all() and table[last] > 0.03
sys.exit(0 if as_found else "The behaviour has changed.")
PY
