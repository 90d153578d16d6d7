#!/usr/bin/env bash
# Guess:    randint draws each integer of its range with the same chance, as in NumPy and PyTorch.
# Happens:  MLX and tinygrad scale a uniform float32 number. Of 2**26 items, only the multiples of 8 are ever drawn by
#           tinygrad; of MLX' draws, one of eight is odd, and hardly any of 2**31 - 1 items. int64 does not help.
# Versions: mlx 0.32.4 with mlx-cpu, tinygrad 0.14.0 with DEV=PYTHON.
# Matters:  uniform negatives over hashed ids or over a large catalog: most items are never a negative, while all of them are
#           positives. Their scores are never pushed down. Draw the ids with NumPy.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlx==0.32.4 mlx-cpu==0.32.4 tinygrad==0.14.0 numpy==2.4.6
DEV=PYTHON "$folder/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import mlx.core as mx
import numpy as np
from tinygrad import Tensor

DRAWS = 4_000
mx.random.seed(17)
Tensor.manual_seed(17)
rng = np.random.default_rng(17)
samplers = {
    f"mlx {version('mlx')}": lambda high: np.array(mx.random.randint(0, high, (DRAWS,))),
    f"tinygrad {version('tinygrad')}": lambda high: Tensor.randint(DRAWS, low=0, high=high).numpy(),
    f"numpy {version('numpy')}": lambda high: rng.integers(high, size=DRAWS),
}
found = {}
for name, draw in samplers.items():
    for high, divisor in ((2**26, 2), (2**26, 8), (2**31 - 1, 2)):
        ids = draw(high)
        assert ids.min() >= 0 and ids.max() < high
        found[name.split()[0], high, divisor] = share = np.mean(ids % divisor == 0)
        print(f"{name}: {share:.1%} of {DRAWS:,} integers below {high:,} are multiples of {divisor}, of which chance gives {1 / divisor:.1%}")
as_found = (
    0.8 < found["mlx", 2**26, 2] < 0.95
    and found["mlx", 2**31 - 1, 2] > 0.95
    and found["tinygrad", 2**26, 8] == found["tinygrad", 2**31 - 1, 2] == 1
    and all(abs(share - 1 / divisor) < 0.05 for (name, _, divisor), share in found.items() if name == "numpy")
)
sys.exit(0 if as_found else "The behaviour has changed.")
PY
