#!/usr/bin/env bash
# Guess:    torch.onnx.export writes scatter_reduce(..., "mean") as a mean, or refuses it.
# Happens:  the file holds a ScatterElements without a reduction: in place of the mean, the last row is kept. The sum, the maximum and
#           the minimum are right. Nothing warns.
# Versions: torch 2.13.0, onnxscript 0.7.2, onnx 1.23.2, onnxruntime 1.32.0.
# Matters:  the mean of the items of a history, and the messages of a graph model, are means by scatter_reduce. The exported model
#           takes the last item for the whole history. embedding_bag, and a sum divided by counts, are exported right.
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

import onnxruntime
import torch


class Pool(torch.nn.Module):
    """Reduces values by user: from `[items]` values and users to `[2]`."""

    def __init__(self, reduction):
        super().__init__()
        self.reduction = reduction

    def forward(self, users, values):
        if self.reduction == "embedding_bag":
            starts = torch.tensor([0, 2])
            return torch.nn.functional.embedding_bag(torch.arange(5), values[:, None], starts, mode="mean")[:, 0]
        return torch.zeros(2).scatter_reduce(0, users, values, self.reduction, include_self=False)


users, values = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([3.0, 1.0, -5.0, 7.0, 4.0])
print(f"torch {torch.__version__}, onnxscript {version('onnxscript')}, onnxruntime {version('onnxruntime')}")
print(f"values of two users: {values[:2].tolist()} and {values[2:].tolist()}")
found = {}
for reduction in ("mean", "sum", "amax", "amin", "embedding_bag"):
    model = Pool(reduction).eval()
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(model, (users, values), "model.onnx", dynamo=True)
    session = onnxruntime.InferenceSession("model.onnx")
    given = {"users": users.numpy(), "values": values.numpy()}
    exported = session.run(None, {port.name: given[port.name] for port in session.get_inputs()})[0].tolist()
    found[reduction] = model(users, values).tolist(), exported
    print(f"{reduction}: PyTorch {found[reduction][0]}, exported {exported}")
as_found = found.pop("mean") == ([2.0, 2.0], [1.0, 4.0])
sys.exit(0 if as_found and all(right == exported for right, exported in found.values()) else "The behaviour has changed.")
PY
