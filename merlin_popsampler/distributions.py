"""Proposal distributions for `PopularityBasedSampler(distribution=...)`.

To add one, subclass `Distribution`, describe its probabilities as `Segments`, and register the
class by `register_distribution`. Every framework then draws from it and corrects by it.
"""

from .core.distributions import Distribution, Empirical, LogUniform, Uniform, register_distribution
from .core.popularity_curve import PopularityCurve
from .core.segments import Segments

__all__ = [
    "Distribution",
    "Empirical",
    "LogUniform",
    "PopularityCurve",
    "Segments",
    "Uniform",
    "register_distribution",
]
