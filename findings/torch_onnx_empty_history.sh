#!/usr/bin/env bash
# Guess:    attention of an exported model has the result that it has in PyTorch, also for a user all of whose positions are masked.
# Happens:  PyTorch gives 0 for such a user. Exported by torch.onnx.export, scaled_dot_product_attention gives the mean of the masked
#           positions, and MultiheadAttention with a key_padding_mask gives NaN. Users with items are right.
# Versions: torch 2.13.0 with opset 20, onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.32.0, on the CPU.
# Matters:  new users have only padding in their history. Their scores are NaN, or come from the vectors of the padding; a top-k
#           of NaN is the first ids. Tests with filled histories find nothing. Give such users one item of their own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.13.0 onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES=""
venv/bin/python -W ignore - 2>"$folder/log" <<'PY' || { tail -n 5 "$folder/log" >&2; exit 1; }
import contextlib
import io
import sys
from importlib.metadata import version

import numpy as np
import onnxruntime
import torch
from torch.nn.functional import scaled_dot_product_attention


class Attention(torch.nn.Module):
    def forward(self, histories, padding):
        mask = ~padding[:, None, None, :]
        vectors = histories[:, None]
        return scaled_dot_product_attention(vectors, vectors, vectors, attn_mask=mask)[:, 0]


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(2, 1, batch_first=True)

    def forward(self, histories, padding):
        return self.attention(histories, histories, histories, key_padding_mask=padding, need_weights=False)[0]


torch.manual_seed(17)
histories = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]).repeat(2, 1, 1)
padding = torch.tensor([[False, False, True], [True, True, True]])
print(f"torch {torch.__version__}, onnxscript {version('onnxscript')}, onnxruntime {version('onnxruntime')}")
print(f"vectors of three positions: {histories[0].tolist()}; the second user has padding alone")
found = {}
for name, model in (
    ("scaled_dot_product_attention", Attention()),
    ("MultiheadAttention", Layer()),
):
    model.eval()
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(model, (histories, padding), "model.onnx", dynamo=True, opset_version=20)
    session = onnxruntime.InferenceSession("model.onnx")
    exported = session.run(None, {"histories": histories.numpy(), "padding": padding.numpy()})[0]
    right = model(histories, padding).detach().numpy()
    assert np.allclose(exported[0], right[0], atol=1e-5)
    found[name] = right[1, 0], exported[1, 0]
    print(f"{name}: PyTorch {right[1, 0].tolist()}, exported {exported[1, 0].tolist()}")
mean = histories[1].mean(dim=0).numpy()
as_found = all((right == 0).all() for right, _ in found.values())
as_found = as_found and np.allclose(found["scaled_dot_product_attention"][1], mean)
as_found = as_found and np.isnan(found["MultiheadAttention"][1]).all()
sys.exit(0 if as_found else "The behaviour has changed.")
PY
