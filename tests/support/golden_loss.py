"""Inputs whose logits, losses and gradients by TensorFlow are in `golden/loss.json`."""

import json
from pathlib import Path

import numpy as np

from merlin_popsampler.core.domain import IdDomain
from tests.support.loss_oracles import full_softmax

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "loss.json").read_text())
"""Logits, losses, and gradients of the losses' weighted sum by query and table, by case."""

DOMAIN = IdDomain(3, 12)
QUERY = np.sin(np.arange(20.0)).reshape(5, 4)
TABLE = np.cos(1.3 * np.arange(52.0)).reshape(13, 4)
TRUE_IDS = np.array([3, 7, 12, 7, 5])
SAMPLED_IDS = np.array([4, 7, 3, 9, 1, 12, 4])
"""Sampled ids, with the positive of a row, a reserved id, and a repeat."""
TRUE_COUNTS = np.array([0.9, 0.4, 0.1, 0.4, 0.6])
COUNTS = np.array([0.8, 0.4, 0.9, 0.3, 1.0, 0.1, 0.8])
EXCLUDED = np.array([[4, 9, 0], [0, 0, 0], [3, 7, 100], [4, 4, 12], [-1, 9, 5]])
WEIGHTS = np.array([1.0, 0.5, 2.0, -1.0, 0.25])

CASES = {
    "as they are": {},
    "temperature": {"temperature": 0.05},
    "excluded": {"excluded_ids": EXCLUDED},
    "positive uncorrected": {"correct_positive": False},
    "all": {"temperature": 0.3, "excluded_ids": EXCLUDED, "correct_positive": False},
}


def full_softmax_with_excluded():
    """Computes losses at a temperature of 0.3, and gradients of their weighted sum, by NumPy."""
    numbers = QUERY.astype(np.float32), TABLE.astype(np.float32)
    return full_softmax(*numbers, TRUE_IDS, 0.3, EXCLUDED.tolist(), WEIGHTS)
