"""Ranks that rounding decides: which differences between devices it explains, and which not."""

import numpy as np

from merlin_popsampler.core.tables import inverse_table
from merlin_popsampler.distributions import Empirical, LogUniform, PopularityCurve, Uniform

ULPS = 4
DISTRIBUTIONS = {
    "log_uniform": LogUniform(10**9),
    "uniform": Uniform(10**9),
    "empirical": Empirical(PopularityCurve.from_counts(10**9 // np.arange(10, 10**6))),
}


def real_ranks(distribution, uniforms):
    """The real numbers whose floors are ranks, by the recipe of `InverseTable`, in NumPy."""
    table = inverse_table(distribution)
    offset, scale = table.whole
    if table.shift is not None:
        return np.exp(uniforms * scale) * offset - table.shift
    if table.cuts is None:
        return uniforms * scale + offset
    column = uniforms * scale
    index = np.minimum(np.floor(column), len(table.cuts) - 1).astype(np.int64)
    inside = column - index
    offset, scale = table.lines[2 * index + (inside >= table.cuts[index])].T
    return offset + inside * scale


def misplaced(ranks, real):
    """How many ranks differ from the floors, and how many of these no rounding explains.

    4 ulp of what the exponential gave, since the subtraction of the shift rounds no more.
    """
    differ = ranks != np.floor(real).astype(np.int64)
    reach = ULPS * np.spacing(real + 1.0)
    explained = np.floor(real - reach) != np.floor(real + reach)
    near = np.abs(ranks - np.floor(real)) <= 1
    return int(differ.sum()), int((differ & ~(explained & near)).sum())
