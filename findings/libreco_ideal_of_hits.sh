#!/usr/bin/env bash
# Guess:    NDCG compares with the ideal list, in which all relevant items come first; average precision divides by the number of
#           relevant items. Who finds one of ten is far from 1.
# Happens:  the ideal list holds only the relevant items that were found, in better order: one of ten found, at rank 1, has an
#           NDCG and an average precision of 1.0. Finding a second one, at rank 10, lowers both.
# Versions: librecommender 1.5.2, NumPy 1.26.4.
# Matters:  a model that finds a second item can score lower than before. The metrics reward models that find one easy
#           item, and cannot be compared with other libraries' or papers' figures.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  numpy==1.26.4 pandas==2.2.3 scipy==1.13.1 scikit-learn==1.5.2
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps librecommender==1.5.2
"$folder/venv/bin/python" -W ignore - <<'PY'
import importlib.util
import sys
from importlib.metadata import distribution, version

# The module alone: the package's import needs TensorFlow and PyTorch.
path = distribution("librecommender").locate_file("libreco/evaluation/metrics.py")
spec = importlib.util.spec_from_file_location("metrics", path)
metrics = importlib.util.module_from_spec(spec)
spec.loader.exec_module(metrics)

relevant = list(range(10))
print(f"librecommender {version('librecommender')}: the items 0 to 9 are relevant, ten are recommended")
found = []
for recommended in ([0, *range(50, 59)], [0, *range(50, 58), 1], relevant):
    scores = [float(getattr(metrics, f"{name}_at_k")(relevant, recommended, 10)) for name in ("recall", "ndcg", "average_precision")]
    found.append(scores[1:])
    print(f"recommended {recommended}: recall {scores[0]:.2f}, NDCG {scores[1]:.3f}, average precision {scores[2]:.3f}")
as_found = found[0] == [1.0, 1.0] and max(found[1]) < 0.9
sys.exit(0 if as_found else "The behaviour has changed.")
PY
