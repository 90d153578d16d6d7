#!/usr/bin/env bash
# Guess:    Unique of [1, NaN, 2, 3] has the values 1, 2, 3 and NaN, once or as often as it occurs, as in NumPy and PyTorch.
# Happens:  NaN is taken for equal to some other value, and has no entry. Here its inverse index points to 1, which then
#           counts twice. If NaN comes first, it is the only value: all rows point to it, and 1, 2 and 3 are gone.
# Versions: onnxruntime 1.32.0 on the CPU, onnx 1.23.2. The reference evaluator of onnx keeps all values.
# Matters:  an exported model that looks up each value once, or counts values, uses Unique. Features from pandas are floats if
#           one is missing, and the missing one is NaN. One such row changes the results of the other rows of its request.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

node = helper.make_node("Unique", ["x"], ["values", "first", "inverse", "counts"])
outputs = [helper.make_tensor_value_info("values", TensorProto.FLOAT, ["found"])]
outputs += [helper.make_tensor_value_info(name, TensorProto.INT64, [size]) for name, size in (("inverse", "rows"), ("counts", "found"))]
graph = helper.make_graph([node], "unique", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows"])], outputs)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
onnx.checker.check_model(model)
session = onnxruntime.InferenceSession(model.SerializeToString())
print(f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}")
found, right = [], True
for row in ([1, 2, 3, 1], [1, np.nan, 2, 3], [np.nan, 1, 2, 3], [3, 2, np.nan, 1]):
    x = np.array(row, "float32")
    values, inverse, counts = session.run(None, {"x": x})
    found.append((values, values[inverse], counts))
    print(f"{row}: values {values.tolist()}, counts {counts.tolist()}, values[inverse] {values[inverse].tolist()}")
    values, inverse, _ = ReferenceEvaluator(model).run(None, {"x": x})
    right &= np.array_equal(values[inverse], x, equal_nan=True)
without, middle, first, last = found
as_found = np.array_equal(without[1], [1, 2, 3, 1]) and np.array_equal(middle[1], [1, 1, 2, 3]) and middle[2].tolist() == [2, 1, 1]
as_found &= bool(np.isnan(first[1]).all()) and len(first[0]) == 1 and not np.isnan(last[1]).any()
sys.exit(0 if as_found and right else "The behaviour has changed.")
PY
