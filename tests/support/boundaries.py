"""Decides which differences of ranks between devices are explained by rounding."""

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
    """Returns real numbers whose floors are the ranks, by the recipe of `InverseTable`."""
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
    """Counts ranks that differ from the floors, and those of them that rounding does not explain.

    Rounding is 4 ulp of the exponential, since subtracting the shift adds no rounding.
    """
    differ = ranks != np.floor(real).astype(np.int64)
    reach = ULPS * np.spacing(real + 1.0)
    explained = np.floor(real - reach) != np.floor(real + reach)
    near = np.abs(ranks - np.floor(real)) <= 1
    return int(differ.sum()), int((differ & ~(explained & near)).sum())
