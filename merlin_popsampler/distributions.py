"""Exports the proposal distributions for `PopularityBasedSampler(distribution=...)`.

To add a distribution, subclass `Distribution`, describe its probabilities as `Segments`, and
register the class by `register_distribution`. Every framework then draws from it and corrects by
it.

Examples:
  >>> from merlin_popsampler.distributions import LogUniform
  >>> LogUniform(3).probs().round(4).tolist()
  [0.5, 0.2925, 0.2075]
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
