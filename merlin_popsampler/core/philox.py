"""Implements the counter-based random generator Philox 4x32-10 in NumPy, as a reference.

Each framework computes the same integers by its own operations. So equal keys and positions give
equal bits on every device.

References:
  J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11, section 4 and table 2.
"""

from typing import Any

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

_HALF = np.uint64(32)
_WORD = np.uint64(WORD)


def philox_4x32(counters: Any, key: Any) -> npt.NDArray[np.uint64]:
    """Computes four pseudorandom 32-bit words for each counter.

    Args:
      counters: integers `[n, 4]`, in [0, 2**32).
      key: integers `[2]`, in [0, 2**32).

    Returns:
      uint64 `[n, 4]`, in [0, 2**32).

    Examples:
      >>> [f"{bits:08x}" for bits in philox_4x32([[0, 0, 0, 0]], [0, 0])[0].tolist()]
      ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = np.asarray(counters, np.uint64).T
    for turn in range(ROUNDS):
        k0, k1 = (np.uint64((int(k) + turn * w) & WORD) for k, w in zip(key, INCREMENTS))
        first, third = (c * np.uint64(m) for c, m in zip((c0, c2), MULTIPLIERS))
        c0, c1 = (third >> _HALF) ^ c1 ^ k0, third & _WORD
        c2, c3 = (first >> _HALF) ^ c3 ^ k1, first & _WORD
    return np.stack([c0, c1, c2, c3], axis=1)


def random_bits(key: int, position: int, num: int) -> Ints:
    """Computes the random 64-bit numbers at a position of a stream.

    Block b has the counter (b, position), each of 64 bits with the low half first. It gives two
    numbers, the low half of each first. This is the order of TensorFlow.

    Args:
      key: key of the stream, an integer of 64 bits, signed or unsigned.
      position: position in the stream, likewise.
      num: number of random numbers.

    Returns:
      int64 `[num]`. A shorter result is a prefix of a longer one.

    Examples:
      >>> random_bits(17, 3, 2).tolist() == random_bits(17, 3, 5)[:2].tolist()
      True
    """
    counters = np.empty(((num + 1) // 2, 4), np.uint64)
    counters[:, 0] = np.arange(len(counters))
    counters[:, 1] = 0  # no batch has 2**32 blocks
    counters[:, 2:] = halves(position)
    pairs = philox_4x32(counters, halves(key)).reshape(-1, 2)
    return (pairs[:, 0] | (pairs[:, 1] << _HALF)).view(np.int64)[:num]


def random_uniforms(key: int, position: int, num: int) -> Floats:
    """Computes uniforms from the low 53 bits of `random_bits`.

    Args:
      key: as for `random_bits`.
      position: as for `random_bits`.
      num: as for `random_bits`.

    Returns:
      float64 `[num]` in [0, 1).

    Examples:
      >>> uniforms = random_uniforms(17, 3, 1000)
      >>> bool((uniforms >= 0).all() and (uniforms < 1).all())
      True
    """
    uniforms: Floats = (random_bits(key, position, num) & MANTISSA) * 2.0**-53
    return uniforms


def halves(number: int) -> Any:
    """Splits 64 bits into the low and the high 32 bits.

    Examples:
      >>> halves(-2)
      (4294967294, 4294967295)
    """
    return number & WORD, (number >> 32) & WORD
