#!/usr/bin/env bash
# Guess:    scores.view(torch.int64), the bits of float64 numbers, can be traced and scripted like any view. torch.export takes it.
# Happens:  torch.jit.trace fails with an internal assertion. torch.jit.script takes the dtype for a size, as a dtype is an integer
#           there: int64 is 4. A tensor of 4 numbers comes back as it was, in float64; with any other number of elements,
#           the message is about the shape [4]. view(torch.int32) of float32 does the same with 3.
# Versions: torch 2.4.1, 2.13.0 and 2.15.0 (this script: 2.13.0).
# Matters:  the bits of floats order scores, or hash them. A test on as many rows as the number of the dtype passes with wrong
#           numbers, and else the message does not name the cause. torch.export is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=""
cd "$folder"
cat >bits.py <<'PY'
import sys
import warnings

import torch

warnings.simplefilter("ignore")


class Bits(torch.nn.Module):
    def forward(self, scores):
        return scores.view(torch.int64)


def result(call):
    try:
        return call()
    except (AssertionError, RuntimeError) as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[-1 if 'shape' in str(error) else 0]}"


four, five = torch.ones(4, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
print(f"torch {torch.__version__}: the bits of ones, in eager mode {Bits()(four).tolist()}")
exported = torch.export.export(Bits(), (four,)).module()(four)
traced = result(lambda: torch.jit.trace(Bits(), (four,))(four))
scripted = torch.jit.script(Bits())
of_four, of_five = result(lambda: scripted(four)), result(lambda: scripted(five))
print(f"torch.export: {exported.tolist()}")
print(f"torch.jit.trace: {traced[:60]} ... {traced[-60:]}")
print(f"torch.jit.script, 4 numbers: {of_four.tolist()} of {of_four.dtype}")
print(f"torch.jit.script, 5 numbers: {of_five}")
as_found = torch.equal(exported, Bits()(four)) and "INTERNAL ASSERT" in traced and torch.equal(of_four, four)
sys.exit(0 if as_found and "shape '[4]' is invalid" in of_five else "The behaviour has changed.")
PY
venv/bin/python -W ignore bits.py
