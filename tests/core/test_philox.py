"""The reference generator against what its authors published, and against TensorFlow's."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from merlin_popsampler.core.philox import (
    halves,
    philox_4x32,
    random_bits,
    random_uniforms,
    uniforms_ahead,
)

PI = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0]
KNOWN = [
    ([0] * 6, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ([2**32 - 1] * 6, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (PI, "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
"""Counter, key and the four outputs: known answers of Random123 for philox4x32-10."""
BITS = json.loads((Path(__file__).parents[1] / "golden" / "bits.json").read_text())
"""First numbers and digest of all numbers by key, position and length, from TensorFlow."""


@pytest.mark.parametrize(("counter_and_key", "expected"), KNOWN)
def test_the_published_answers(counter_and_key, expected):
    found = philox_4x32(counter_and_key[:4], counter_and_key[4:])
    assert " ".join(f"{word.item():08x}" for word in found) == expected


def test_counters_do_not_meet():
    counters = [answer[0][:4] for answer in KNOWN]
    together = philox_4x32(np.transpose(counters), PI[4:])
    alone = [philox_4x32(counter, PI[4:]) for counter in counters]
    assert np.transpose(together).tolist() == np.array(alone)[..., 0].tolist()


@pytest.mark.parametrize("case", BITS)
def test_the_bits_are_tensorflow_s(case):
    key, position, num = map(int, case.split())
    bits = random_bits(key, position, num)
    assert bits.dtype == np.int64
    assert bits[:4].tolist() == BITS[case]["first"]
    assert hashlib.sha256(bits.astype("<i8").tobytes()).hexdigest() == BITS[case]["sha256"]


def test_keys_and_positions_are_64_bits_signed_or_not():
    assert random_bits(-1, -2, 9).tolist() == random_bits(2**64 - 1, 2**64 - 2, 9).tolist()
    assert random_bits(1, 0, 9).tolist() != random_bits(1 + 2**32, 0, 9).tolist()
    assert random_bits(1, 0, 9).tolist() != random_bits(1, 2**32, 9).tolist()
    assert halves(2**40 + 3) == (3, 256)


def test_uniforms_have_the_low_53_bits():
    uniforms, bits = random_uniforms(17, 3, 1000), random_bits(17, 3, 1000)
    assert uniforms.dtype == np.float64
    assert [int(u * 2**53) for u in uniforms] == [int(b) % 2**53 for b in bits]
    assert uniforms.min() >= 0 and uniforms.max() < 1


@pytest.mark.parametrize("num", [1, 5, 300, 8192, 8193])
def test_numbers_that_are_computed_ahead(num):
    """Positions include the ends of a block, and those where the counter wraps around."""
    for key in (17, -5):
        for position in (0, 1, 53, 54, -1, 2**63 - 1, 2**63, 2**64 - 1):
            found = uniforms_ahead(key, position, num)
            assert found.tolist() == random_uniforms(key, position, num).tolist()


def test_numbers_that_are_computed_ahead_cannot_be_changed():
    """They are shared with later readers."""
    with pytest.raises(ValueError, match="read-only"):
        uniforms_ahead(17, 3, 5)[0] = 0.0
