#!/usr/bin/env bash
# Guess:    an ONNX model with int64 inputs and outputs computes in int64, as in ONNX Runtime, and int32 is exact anywhere.
#           OpenVINO reports the types int64 and int32 for its inputs and outputs.
# Happens:  on the CPU, int64 is int32: an Identity gives 2**40 + 5 back as 5, and 2**31 + 5 as a negative number. Equal, Mod and
#           Div of int32 go through float32: above 2**24 an id equals the next one, and most remainders are wrong.
# Versions: openvino 2026.4.1, onnxruntime 1.32.0, onnx 1.23.2.
# Matters:  a mask of seen items hides unseen ones, and hashed ids fall into other buckets than in training. Serving differs
#           from training without an error. Encode ids to below 2**24 before the model.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cd "$folder"
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper


def outputs(node, *inputs, bools=False):
    """Returns the output of a model of one node: by ONNX Runtime, by OpenVINO, and OpenVINO's types of its inputs."""
    dtypes = [TensorProto.INT64 if array.dtype == np.int64 else TensorProto.INT32 for array in inputs]
    names = ["x", "y"][: len(inputs)]
    declared = [helper.make_tensor_value_info(name, dtype, [None]) for name, dtype in zip(names, dtypes)]
    output = helper.make_tensor_value_info("z", TensorProto.BOOL if bools else dtypes[0], [None])
    graph = helper.make_graph([helper.make_node(node, names, ["z"])], "graph", declared, [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "model.onnx")
    model = openvino.Core().compile_model("model.onnx", "CPU")
    right = onnxruntime.InferenceSession("model.onnx").run(None, dict(zip(names, inputs)))[0]
    return right, model(list(inputs))[0], {port.element_type.get_type_name() for port in model.inputs}


print(f"openvino {version('openvino')}, onnxruntime {version('onnxruntime')}")
ids = np.array([5, 2**31 + 5, 2**40 + 5])
right, by_openvino, types = outputs("Identity", ids)
print(f"Identity of {ids.tolist()}: ONNX Runtime {right.tolist()}, OpenVINO {by_openvino.tolist()} of the types {types}")
as_found = (right == ids).all() and by_openvino.tolist() == [5, 5 - 2**31, 5] and types == {"i64"}

rng = np.random.default_rng(17)
for low, high in ((0, 2**24), (2**26, 2**31 - 1)):
    ids = rng.integers(low, high, size=1_000).astype("int32")
    following, buckets = ids + np.int32(1), np.full_like(ids, 1_000)
    equal = outputs("Equal", ids, following, bools=True)
    remainder = outputs("Mod", ids, buckets)
    assert not equal[0].any() and (remainder[0] == ids % 1_000).all()
    shares = equal[1].mean(), (remainder[1] == remainder[0]).mean()
    print(f"{len(ids):,} int32 ids from {low:,} to {high:,}, OpenVINO: {shares[0]:.1%} equal the next id, {shares[1]:.1%} have the right remainder of 1,000")
    as_found = as_found and equal[2] == remainder[2] == {"i32"}
    as_found = as_found and (shares == (0, 1) if low == 0 else shares[0] > 0.8 and shares[1] < 0.1)
sys.exit(0 if as_found else "The behaviour has changed.")
PY
