#!/usr/bin/env bash
# Guess:    MRR is the mean of 1 / rank of each user's first clicked item: 1.0 for a perfect ranking. gAUC, MRR and NDCG of one
#           call are about the same users.
# Happens:  it is the mean of 1 / rank over all clicked items of a user: 0.75 for a perfect ranking of two, 0.46 of five. A user
#           without a click counts 0 in MRR and NDCG, and is left out of gAUC and avgAUC.
# Versions: fuxictr 2.3.10, numpy 2.4.6.
# Matters:  the more a user clicks, the lower is the best MRR: 0.5 may be a perfect model. Where many groups have no click, MRR and
#           NDCG say above all how many there are. Neither can be compared with other libraries.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 polars==2.1.0
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps fuxictr==2.3.10
cat > "$folder/metrics.py" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from fuxictr.metrics import evaluate_metrics

METRICS = ["MRR", "NDCG(k=10)", "gAUC", "avgAUC"]


def perfect(clicks_of_users):
    """Metrics of the ranking that puts all clicked items of each user first."""
    users = np.repeat(np.arange(len(clicks_of_users)), 10)
    labels = np.concatenate([np.arange(10) < clicks for clicks in clicks_of_users]).astype(int)
    scores = np.tile(np.linspace(0.9, 0.1, 10), len(clicks_of_users))
    metrics = evaluate_metrics(labels, scores, METRICS, group_id=users)
    values = [round(float(metrics[name]), 2) for name in METRICS]
    print(f"perfect ranking, clicks of the users {clicks_of_users}: {dict(zip(METRICS, values))}")
    return values


if __name__ == "__main__":  # evaluate_metrics starts processes
    print(f"fuxictr {version('fuxictr')}")
    found = [perfect(clicks) for clicks in ([1, 1], [2, 2], [5, 5], [1, 0])]
    expected = [[1, 1, 1, 1], [0.75, 1, 1, 1], [0.46, 1, 1, 1], [0.5, 0.5, 1, 1]]
    sys.exit(0 if found == expected else "The behaviour has changed.")
PY
"$folder/venv/bin/python" "$folder/metrics.py"
