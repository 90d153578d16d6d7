#!/usr/bin/env bash
# Guess:    save_file of safetensors.numpy stores the array that it is given, or refuses it, as safetensors.torch does with
#           tensors that are not contiguous.
# Happens:  it writes the memory of the array and its shape. An array in Fortran order, a transposed one and a selection of
#           columns come back with other numbers at nearly all places, with the right shape and dtype. No error tells.
# Versions: safetensors 0.8.0, numpy 2.4.6, pandas 3.1.1, torch 2.13.0. safetensors 0.7.0 stores the values.
# Matters:  to_numpy() of a pandas frame is in Fortran order, and so are item vectors that were trained as size by items.
#           A saved table of vectors retrieves items at random. Pass np.ascontiguousarray(vectors).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6 pandas==3.1.1 torch==2.13.0
cd "$folder"
CUDA_VISIBLE_DEVICES="" venv/bin/python - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_tensors

items, size = 1_000, 8
vectors = np.random.default_rng(17).normal(size=(items, size)).astype("float32")
twice = np.concatenate([vectors, vectors], axis=1)
arrays = {
    "C order": vectors,
    "to_numpy() of a frame": pd.DataFrame({f"x{i}": column for i, column in enumerate(vectors.T)}).to_numpy(),
    "transposed": np.ascontiguousarray(vectors.T).T,
    "the first columns of a wider array": twice[:, :size],
}
print(f"safetensors {version('safetensors')}: {items:,} item vectors of {size} numbers, saved and loaded")
found = {}
for name, array in arrays.items():
    assert np.array_equal(array, vectors)
    save_file({"vectors": array}, "vectors.safetensors")
    loaded = load_file("vectors.safetensors")["vectors"]
    assert loaded.shape == vectors.shape and loaded.dtype == vectors.dtype
    found[name] = np.mean((loaded == vectors).all(axis=1))
    print(f"{name}: {found[name]:.1%} of the items have their vector")
try:
    save_tensors({"vectors": torch.from_numpy(arrays["transposed"])}, "vectors.safetensors")
    refused = False
except ValueError as error:
    refused = "non contiguous" in str(error)
print(f"transposed, safetensors.torch: {'refused' if refused else 'saved'}")
in_order = found.pop("C order")
sys.exit(0 if in_order == 1 and max(found.values()) < 0.01 and refused else "The behaviour has changed.")
PY
