"""Samplers over twelve items, ids 3 to 14, and their probabilities by hand."""

import numpy as np

from merlin_popsampler.distributions import Empirical, LogUniform, PopularityCurve, Uniform
from merlin_popsampler.tf.sampler import PopularityBasedSampler
from tests.support import oracles

COUNTS = [300, 41, 41, 30, 9, 9, 9, 2, 1, 1, 1, 1]
DISTRIBUTIONS = {
    "log_uniform": LogUniform(12),
    "empirical": Empirical(PopularityCurve.from_counts(COUNTS)),
    "distorted": Empirical(PopularityCurve.from_counts(COUNTS), 0.5),
    "uniform": Uniform(12),
}
ORACLES = {
    "log_uniform": oracles.log_uniform_probs(12),
    "empirical": np.array(COUNTS) / sum(COUNTS),
    "distorted": np.sqrt(COUNTS) / np.sqrt(COUNTS).sum(),
    "uniform": np.full(12, 1 / 12),
}


def sampler(**settings):
    settings = {"max_id": 14, "min_id": 3, "max_num_samples": 5, "seed": 17, **settings}
    return PopularityBasedSampler(**settings)
