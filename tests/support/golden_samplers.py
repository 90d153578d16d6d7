"""Samplers whose draws by TensorFlow 2.12 are in `golden/samplers.json`."""

import hashlib
import json
from pathlib import Path

import numpy as np

from merlin_popsampler.distributions import Empirical, LogUniform, PopularityCurve, Uniform

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "samplers.json").read_text())
"""First ids, and digest of all ids as int64, of the first batches of each case."""
BATCHES = 3
MIN_ID = 3


def _measured(size, distortion=1.0):
    return Empirical(PopularityCurve.from_counts(10**9 // np.arange(10, 10 + size)), distortion)


CASES = {
    "log-uniform, 20 of 400": (LogUniform(400), 20, True),
    "log-uniform, 390 of 400, a race": (LogUniform(400), 390, True),
    "log-uniform, 1000 of 1e6": (LogUniform(10**6), 1000, True),
    "log-uniform, 20000 of 1e6, a head": (LogUniform(10**6), 20_000, True),
    "log-uniform, 1000 of 1e9": (LogUniform(10**9), 1000, True),
    "log-uniform, 1000 of 1e6, repeated": (LogUniform(10**6), 1000, False),
    "uniform, 1000 of 1e6": (Uniform(10**6), 1000, True),
    "measured, 1000 of 1e6": (_measured(10**6), 1000, True),
    "measured, 20000 of 1e6, a head": (_measured(10**6), 20_000, True),
    "measured to the power 0.75, 1000 of 1e6, repeated": (_measured(10**6, 0.75), 1000, False),
}
"""Distribution, size of a batch, and whether its ids are distinct."""


def sampler_of(cls, case, seed=17):
    """Builds the sampler of a case, in any framework."""
    distribution, num_sampled, unique = CASES[case]
    return cls(
        MIN_ID + distribution.size - 1,
        MIN_ID,
        num_sampled,
        seed,
        unique=unique,
        distribution=distribution,
    )


def summary(ids):
    """Returns the first ids and the digest of a batch."""
    digest = hashlib.sha256(np.asarray(ids).astype("<i8").tobytes()).hexdigest()
    return {"first": np.asarray(ids)[:8].tolist(), "sha256": digest}
