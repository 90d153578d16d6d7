"""The laws of one draw, for `PopularityBasedSampler(law=...)`: the public door to `core.laws`.

A law of your own is a subclass of `Law` that says in which pieces it spreads the probability, and
that `register_law` makes known by its name; every framework draws and prices by it then.
"""

from .core.laws import Empirical, Law, LogUniform, Uniform
from .core.steps import Steps

__all__ = ["Empirical", "Law", "LogUniform", "Steps", "Uniform"]
