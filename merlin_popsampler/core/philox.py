"""The random numbers of every framework: the counter-based generator Philox 4x32-10.

The reference in NumPy, and its constants. Each framework computes the same integers by its own
operations, so that equal key and position give equal bits on whatever device.

References:
  J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11, section 4 and table 2.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .segments import Floats, Ints

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
"""Of the first and of the third word of a counter."""
INCREMENTS = (0x9E3779B9, 0xBB67AE85)
"""Of the two words of the key, from one round to the next."""
WORD = 2**32 - 1
MANTISSA = 2**53 - 1
"""The bits of a number that its uniform is made of."""

_HALF = np.uint64(32)
_WORD = np.uint64(WORD)


def philox_4x32(counters: Any, key: Any) -> npt.NDArray[np.uint64]:
    """Four pseudorandom words for each counter of four words, by a key of two.

    Args:
      counters: integers `[n, 4]`, in [0, 2**32).
      key: integers `[2]`, in [0, 2**32).

    Returns:
      uint64 `[n, 4]`, in [0, 2**32).

    Examples:
      >>> [f"{word:08x}" for word in philox_4x32([[0, 0, 0, 0]], [0, 0])[0].tolist()]
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
    """The random numbers of a place in a stream, all 64 bits of them.

    Block b has the counter (b, position), 64 bits each and the low word first, and gives two
    numbers, the low word of each first: TensorFlow's order.

    Args:
      key: of the stream, an integer of 64 bits, signed or not.
      position: in the stream, likewise.
      num: how many numbers.

    Returns:
      int64 `[num]`; fewer numbers are the first of more.

    Examples:
      >>> random_bits(17, 3, 2).tolist() == random_bits(17, 3, 5)[:2].tolist()
      True
    """
    counters = np.empty(((num + 1) // 2, 4), np.uint64)
    counters[:, 0] = np.arange(len(counters))
    counters[:, 1] = 0  # nobody asks for 2**32 blocks
    counters[:, 2:] = words(position)
    pairs = philox_4x32(counters, words(key)).reshape(-1, 2)
    return (pairs[:, 0] | (pairs[:, 1] << _HALF)).view(np.int64)[:num]


def random_uniforms(key: int, position: int, num: int) -> Floats:
    """float64 `[num]` in [0, 1), of the low 53 bits of `random_bits`."""
    uniforms: Floats = (random_bits(key, position, num) & MANTISSA) * 2.0**-53
    return uniforms


def words(number: int) -> Any:
    """The low and the high word of 64 bits.

    Examples:
      >>> words(-2)
      (4294967294, 4294967295)
    """
    return number & WORD, (number >> 32) & WORD
