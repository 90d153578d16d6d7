#!/usr/bin/env bash
# Guess:    in a sampled cross-entropy, the worse a positive item is ranked, the stronger it is pulled up; the gradient of its
#           logit nears -1. LogInCESampled is such a loss, with an epsilon only "to avoid zero in the logarithm".
# Happens:  the epsilon is 1e-6 and is added to the probability. A positive 20 below a negative gets 0.002 of the gradient,
#           and 30 below it 1e-7 of it; the loss stays at 13.8. CESampled of the same package has the full gradient.
# Versions: replay-rec 0.22.0, torch 2.13.0.
# Matters:  the worst mistakes of a model are those that it no longer learns from. BCESampled does the same to negatives:
#           one that is scored 20 too high gets no gradient at all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check replay-rec==0.22.0 torch==2.13.0 lightning==2.6.1 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import torch
from replay.nn.loss import BCESampled, CESampled, LogInCESampled


def gradients(loss_type, gap):
    """Returns the gradients of the logits of one positive (0) and of one negative (gap)."""
    logits = torch.tensor([0.0, gap], requires_grad=True)
    loss = loss_type()
    loss.logits_callback = lambda _, ids: logits[ids].reshape(1, -1)
    one = torch.ones(1, 1, 1, dtype=torch.bool)
    value = loss(torch.ones(1, 1, 1), {}, torch.tensor([[[0]]]), torch.tensor([1]), one[0], one)
    value.backward()
    return logits.grad.tolist()


print(f"replay-rec {version('replay-rec')}, torch {torch.__version__}: gradients of a positive's and a negative's logit")
found = {}
for gap in (1.0, 10.0, 20.0, 30.0):
    for loss_type in (CESampled, LogInCESampled, BCESampled):
        found[loss_type, gap] = gradients(loss_type, gap)
        print(f"negative {gap:2.0f} above the positive, {loss_type.__name__:14}: " + "{:+.2g} {:+.2g}".format(*found[loss_type, gap]))
as_found = found[CESampled, 20.0][0] < -0.99 and found[LogInCESampled, 20.0][0] > -0.01 and found[BCESampled, 20.0][1] == 0
sys.exit(0 if as_found else "The behaviour has changed.")
PY
