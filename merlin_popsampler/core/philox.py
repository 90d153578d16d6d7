"""Implements the counter-based random generator Philox 4x32-10 in NumPy, as a reference.

Each framework computes the same integers by its own operations. So equal keys and positions give
equal bits on every device.

References:
  J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11, section 4 and table 2.
"""

from functools import lru_cache
from typing import Any, Tuple

import numpy as np
import numpy.typing as npt

from .segments import Floats, Ints

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
"""Multipliers of the first and of the third 32-bit word of a counter."""
INCREMENTS = (0x9E3779B9, 0xBB67AE85)
"""Increments of the two 32-bit words of the key, from one round to the next."""
WORD = 2**32 - 1
MANTISSA = 2**53 - 1
"""Mask of the bits of a number that form its uniform."""

_AHEAD = 1 << 14
"""Number of random numbers that are computed at once for several small batches."""

UInts = npt.NDArray[np.uint64]
_HALF, _LOW = np.array([[32], [WORD]], np.uint64)
_FIRST, _THIRD = np.array(MULTIPLIERS, np.uint64)[:, None]
_TURNS = np.arange(ROUNDS) * np.array(INCREMENTS, np.int64)[:, None]


def philox_4x32(counters: Any, key: Any) -> Tuple[UInts, UInts, UInts, UInts]:
    """Computes four pseudorandom 32-bit words for each counter.

    Args:
      counters: four 32-bit words, integers in [0, 2**32) of shapes that broadcast.
      key: integers `[2]`, in [0, 2**32).

    Returns:
      Four arrays, uint64 in [0, 2**32), of the common shape of the counters, at least `[1]`.

    Examples:
      >>> [f"{bits.item():08x}" for bits in philox_4x32([0, 0, 0, 0], [0, 0])]
      ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    # Arrays of one element take NumPy half the time of a scalar.
    c0, c1, c2, c3 = (np.atleast_1d(np.asarray(bits, np.uint64)) for bits in counters)
    keys = ((np.asarray(key, np.int64)[:, None] + _TURNS) & WORD).astype(np.uint64)
    for k0, k1 in zip(*keys[:, :, None]):
        first, third = c0 * _FIRST, c2 * _THIRD
        c0, c1 = (third >> _HALF) ^ (c1 & _LOW) ^ k0, third
        c2, c3 = (first >> _HALF) ^ (c3 & _LOW) ^ k1, first
    return c0, c1 & _LOW, c2, c3 & _LOW


def random_bits(key: int, position: Any, num: int) -> Ints:
    """Computes the random 64-bit numbers at a position of a stream.

    Block b has the counter (b, position), each of 64 bits with the low half first. It gives two
    numbers, the low half of each first. This is the order of TensorFlow.

    Args:
      key: key of the stream, an integer of 64 bits, signed or unsigned.
      position: position in the stream, likewise; or several, `[positions, 1]`.
      num: number of random numbers at each position.

    Returns:
      int64 `[num]` or `[positions, num]`. A shorter result is a prefix of a longer one.

    Examples:
      >>> random_bits(17, 3, 2).tolist() == random_bits(17, 3, 5)[:2].tolist()
      True
      >>> random_bits(17, np.array([[3], [4]]), 5).shape
      (2, 5)
    """
    blocks = np.arange((num + 1) // 2)  # fewer than 2**32
    c0, c1, c2, c3 = philox_4x32([blocks, 0, *halves(position)], halves(key))
    pairs = np.stack([c0 | (c1 << _HALF), c2 | (c3 << _HALF)], axis=-1)
    bits: Ints = pairs.reshape(*pairs.shape[:-2], -1).view(np.int64)[..., :num]
    return bits


def random_uniforms(key: int, position: Any, num: int) -> Floats:
    """Computes uniforms from the low 53 bits of `random_bits`.

    Args:
      key: as for `random_bits`.
      position: as for `random_bits`.
      num: as for `random_bits`.

    Returns:
      float64 in [0, 1), of the shape of `random_bits`.

    Examples:
      >>> uniforms = random_uniforms(17, 3, 1000)
      >>> bool((uniforms >= 0).all() and (uniforms < 1).all())
      True
    """
    uniforms: Floats = (random_bits(key, position, num) & MANTISSA) * 2.0**-53
    return uniforms


def uniforms_ahead(key: int, position: int, num: int) -> Floats:
    """Returns `random_uniforms`, computed for several consecutive positions at once and cached.

    For the few numbers of one batch, the overhead of NumPy's calls would exceed the computation.

    Args:
      key: as for `random_bits`.
      position: as for `random_bits`, a single one.
      num: as for `random_bits`.

    Returns:
      float64 `[num]` in [0, 1), read-only.

    Examples:
      >>> bool((uniforms_ahead(17, 3, 5) == random_uniforms(17, 3, 5)).all())
      True
    """
    count = _AHEAD // num
    if count < 2:
        return random_uniforms(key, position, num)
    uniforms: Floats = _block(key, position // count, count, num)[position % count]
    return uniforms


@lru_cache(maxsize=16)
def _block(key: int, block: int, count: int, num: int) -> Floats:
    """Computes uniforms `[count, num]`; the last blocks take 2 MB in all."""
    positions = [(block * count + i) % 2**64 for i in range(count)]
    uniforms = random_uniforms(key, np.array(positions, np.uint64)[:, None], num)
    uniforms.setflags(write=False)
    return uniforms


def halves(number: Any) -> Any:
    """Splits 64 bits, a number or an array, into the low and the high 32 bits.

    Examples:
      >>> halves(-2)
      (4294967294, 4294967295)
    """
    return number & WORD, (number >> 32) & WORD
