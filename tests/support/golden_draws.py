"""Draws that every version, machine and framework must repeat: `golden/draws.json`.

Key 17, position 3; generated on TensorFlow 2.12 by the first version with a separate head.
"""

import json
from pathlib import Path

import numpy as np

from merlin_popsampler.distributions import Empirical, LogUniform, PopularityCurve, Uniform

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "draws.json").read_text())
"""First ranks of each golden draw, and the digest of all as little-endian int64."""


def _falling(size):
    """Returns counts 10**9 / 10, 10**9 / 11, ..., without randomness."""
    return 10**9 // np.arange(10, 10 + size)


COUNTS = np.sort(np.random.default_rng(3).zipf(1.4, 400).clip(max=5000))[::-1]
DISTRIBUTIONS = {
    "log_uniform_400": LogUniform(400),
    "uniform_400": Uniform(400),
    "empirical_400": Empirical(PopularityCurve.from_counts(COUNTS)),
    "distorted_400": Empirical(PopularityCurve.from_counts(COUNTS), 0.75),
    "log_uniform_1e6": LogUniform(10**6),
    "log_uniform_1e9": LogUniform(10**9),
    "uniform_1e6": Uniform(10**6),
    "empirical_1e6": Empirical(PopularityCurve.from_counts(_falling(10**6 - 10))),
}
