"""Compares the generator on tensors with the reference in NumPy, bit by bit."""

import re

import numpy as np
import pytest
import torch
from torch._inductor.utils import run_and_get_code

from merlin_popsampler.core import philox as reference
from merlin_popsampler.torch.philox import random_bits, uniforms


@pytest.mark.parametrize("num", [1, 2, 7, 50_001])
def test_bits_are_the_reference_s(num, rng):
    edges = [0, 1, -1, 2**32 - 1, 2**32, 2**63 - 1, -(2**63)]
    places = [(key, position) for key in edges for position in edges] if num < 10 else [(3, -4)]
    places += rng.integers(-(2**63), 2**63, (5, 2)).tolist()
    for key, position in places:
        found = random_bits(torch.tensor(key), torch.tensor(position), num)
        assert found.dtype == torch.int64
        np.testing.assert_array_equal(found.numpy(), reference.random_bits(key, position, num))


def test_uniforms_are_the_reference_s():
    found = uniforms(torch.tensor(17), torch.tensor(3), 999)
    assert found.dtype == torch.float64
    np.testing.assert_array_equal(found.numpy(), reference.random_uniforms(17, 3, 999))


def test_wrong_arithmetic_is_detected():
    """Negative control: 32-bit arithmetic ignores the high half of a position."""
    draws = {
        tuple(random_bits(torch.tensor(key), torch.tensor(position), 4).tolist())
        for key in (0, 2**32, 2**33)
        for position in (0, 2**32, 2**33)
    }
    assert len(draws) == 9


def test_compiled_code_has_no_products_of_indices():
    """On a GPU an index has 32 bits, and larger factors fail to compile."""
    place = torch.tensor(-5), torch.tensor(2**40 + 3)
    compiled = torch.compile(random_bits, fullgraph=True, dynamic=False)
    bits, codes = run_and_get_code(compiled, *place, 11)
    assert bits.tolist() == reference.random_bits(-5, 2**40 + 3, 11).tolist()
    products = [re.findall(r"(\d+)L?\s*\*\s*x\d", code) for code in codes]
    assert codes and all(int(factor) < 2**31 for found in products for factor in found)
