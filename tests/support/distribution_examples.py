"""Distributions for the tests of draws, over 400 ranks and over many."""

import numpy as np

from merlin_popsampler.core.distributions import Empirical, LogUniform, Uniform
from merlin_popsampler.core.popularity_curve import PopularityCurve

COUNTS = np.sort(np.random.default_rng(3).zipf(1.4, 400).clip(max=5000))[::-1]
DISTRIBUTIONS = {
    "log_uniform": LogUniform(400),
    "uniform": Uniform(400),
    "empirical": Empirical(PopularityCurve.from_counts(COUNTS)),
    "distorted": Empirical(PopularityCurve.from_counts(COUNTS), distortion=0.75),
}
LARGE = {
    "log_uniform": LogUniform(10**9),
    "uniform": Uniform(10**6),
    "empirical": Empirical(PopularityCurve.from_counts(10**9 // np.arange(10, 10**6))),
    "distorted": Empirical(
        PopularityCurve.from_counts(10**9 // np.arange(10, 10**6)), distortion=0.75
    ),
}
