#!/usr/bin/env bash
# Guess:    in a tf.function, tf.tensor_scatter_nd_add of a tensor that nothing else uses works in place, as a sum of two
#           tensors does. So its time depends on how many numbers it adds, not on the size of the tensor.
# Happens:  it copies the tensor each time, and the memory holds both. The older operation ScatterNdNonAliasingAdd, which
#           only tf.raw_ops offers, has the same result, and does work in place.
# Versions: TensorFlow 2.12.1 and 2.20.0 (this script: 2.20.0), on a CPU.
# Matters:  a loop that adds to a few rows of a large gradient copies the gradient in each step: with a table of a million
#           vectors, a training step took four times as long.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow-cpu==2.20.0 numpy==2.4.6
export TF_CPP_MIN_LOG_LEVEL=3 KERAS_HOME="$folder"
cd "$folder"
cat >added.py <<'PY'
import sys

import tensorflow as tf


def peak():
    """The most memory that this process ever held, MB."""
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024


FUNCTIONS = {
    "nothing": tf.identity,
    "x + 1": lambda x: x + 1.0,
    "tensor_scatter_nd_add": lambda x: tf.tensor_scatter_nd_add(x, [[0, 0]], [1.0]),
    "ScatterNdNonAliasingAdd": lambda x: tf.raw_ops.ScatterNdNonAliasingAdd(input=x, indices=[[0, 0]], updates=[1.0]),
}


@tf.function
def program(x):
    return FUNCTIONS[sys.argv[1]](tf.sqrt(x))[0, 0]


program(tf.ones([2, 2]))
large = tf.ones([16384, 8192])
before = peak()
result = float(program(large))
print(result, round(peak() - before))
PY
venv/bin/python -W ignore - <<'PY' || { tail -5 "$folder/log" && exit 1; }
import subprocess
import sys
from importlib.metadata import version

print(f"TensorFlow {version('tensorflow-cpu')}: a function makes a tensor of 512 MB and adds one number to it")
found = {}
for name in ("nothing", "x + 1", "tensor_scatter_nd_add", "ScatterNdNonAliasingAdd"):
    with open("log", "a") as log:
        ended = subprocess.run([sys.executable, "added.py", name], stdout=subprocess.PIPE, stderr=log, text=True, check=True)
    found[name] = [float(each) for each in ended.stdout.split()]
    print(f"{name}: result {found[name][0]:.0f}, peak of memory {found[name][1]:.0f} MB above the input")
as_found = [result for result, _ in found.values()] == [1.0, 2.0, 2.0, 2.0]
as_found &= all((peak > 900) == (name == "tensor_scatter_nd_add") for name, (_, peak) in found.items())
sys.exit(0 if as_found else "The behaviour has changed.")
PY
