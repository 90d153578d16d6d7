"""Ranks may differ between devices where rounding decides, and nowhere else.

`exp` and `log` may round their last bit differently elsewhere; what may follow is a rank that is
one off, where its real number is within 4 ulp of a step between two ranks.
"""

import numpy as np
import pytest
import torch

from merlin_popsampler.core.philox import random_uniforms
from merlin_popsampler.core.tables import inverse_table
from merlin_popsampler.laws import Empirical, LogUniform, Steps, Uniform
from merlin_popsampler.torch.inverse import Inverse

ULPS = 4
LAWS = {
    "log_uniform": LogUniform(10**9),
    "uniform": Uniform(10**9),
    "empirical": Empirical(Steps.from_counts(10**9 // np.arange(10, 10**6))),
}


def real_ranks(law, uniforms):
    """The real numbers whose floors are ranks, by the recipe of `InverseTable`, in NumPy."""
    table = inverse_table(law)
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


@pytest.mark.parametrize("name", LAWS)
def test_no_rank_differs_but_at_a_step(name):
    uniforms = random_uniforms(17, 3, 2_000_000)
    ranks = Inverse(LAWS[name])(torch.from_numpy(uniforms)).numpy()
    differing, unexplained = misplaced(ranks, real_ranks(LAWS[name], uniforms))
    assert unexplained == 0
    assert differing < 20


@pytest.mark.parametrize("error", [1e-12, 2.0**-24], ids=["twelve digits", "single precision"])
def test_a_less_exact_exponential_is_told(error):
    uniforms = random_uniforms(17, 3, 2_000_000)
    real = real_ranks(LAWS["log_uniform"], uniforms)
    wrong = np.floor(real * (1 + error)).astype(np.int64)
    assert misplaced(wrong, real)[1] > 0
