"""Tests that ranks differ between devices only by rounding.

`exp` and `log` may round their last bit differently on other devices. Then a rank may be off by one
where its real number is within 4 ulp of a step between two ranks.
"""

import numpy as np
import pytest
import torch

from merlin_popsampler.core.philox import random_uniforms
from merlin_popsampler.core.tables import inverse_table
from merlin_popsampler.torch.inverse_cdf import InverseCDF
from tests.support.boundaries import DISTRIBUTIONS, misplaced, real_ranks


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_no_rank_differs_but_at_a_step(name):
    uniforms = random_uniforms(17, 3, 2_000_000)
    ranks = InverseCDF(inverse_table(DISTRIBUTIONS[name]))(torch.from_numpy(uniforms)).numpy()
    differing, unexplained = misplaced(ranks, real_ranks(DISTRIBUTIONS[name], uniforms))
    assert unexplained == 0
    assert differing < 20


@pytest.mark.parametrize("error", [1e-12, 2.0**-24], ids=["twelve digits", "single precision"])
def test_a_less_exact_exponential_is_detected(error):
    uniforms = random_uniforms(17, 3, 2_000_000)
    real = real_ranks(DISTRIBUTIONS["log_uniform"], uniforms)
    wrong = np.floor(real * (1 + error)).astype(np.int64)
    assert misplaced(wrong, real)[1] > 0
