"""The laws of one draw, for `PopularityBasedSampler(law=...)`: the public door to `core.laws`.

A law of your own is a subclass of `Law` that says in which `Pieces` its probability lies, made
known by its name by `register_law`; every framework draws and prices by it then.
"""

from .core.laws import Empirical, Law, LogUniform, Uniform, register_law
from .core.pieces import Pieces
from .core.steps import Steps

__all__ = ["Empirical", "Law", "LogUniform", "Pieces", "Steps", "Uniform", "register_law"]
