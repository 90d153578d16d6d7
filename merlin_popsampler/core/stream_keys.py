"""Which stream of random numbers is whose: the keys of seeds, of replicas and of workers."""

from typing import Any

_FAR = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio: its multiples lie far apart (Knuth, volume 3, 6.4)."""


def mixed(number: int) -> int:
    """64 bits in [0, 2**64) from an integer: near numbers, unrelated bits.

    Examples:
      >>> [f"{mixed(number):016x}" for number in (0, 1)]
      ['e220a8397b1dcdaf', '910a2dec89025cc1']

    References:
      Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators": SplitMix64.
    """
    bits = (number + _FAR) % 2**64
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % 2**64
    return bits ^ (bits >> 31)


def seed_key(seed: int) -> int:
    """The key of a seed, an integer of 64 bits with a sign, as frameworks store it."""
    return signed(mixed(seed))


def own_bits(replica: Any, worker: int = 0) -> Any:
    """What the common key is XORed with, where each replica draws a stream of its own.

    The first replica of the first worker draws the common stream.

    Args:
      replica: number of the replica among those that know of each other, from 0 on; a number, or a
        tensor of unsigned 64-bit integers.
      worker: number of the process among those that do not, from 0 on.

    Returns:
      The bits, of the replica's type; of a number those above the 64th are to be cut.

    Examples:
      >>> own_bits(0), f"{own_bits(1):x}"
      (0, '9e3779b97f4a7c15')
    """
    return (replica + worker * 2**32) * _FAR


def worker_bits(seed: int) -> int:
    """What a key is XORed with, where a worker that loads data draws a stream of its own.

    Args:
      seed: of the worker's process, another for each worker and epoch.

    Returns:
      64 bits in [0, 2**64): unrelated to `seed_key(seed)`, with which they might cancel.

    Examples:
      >>> worker_bits(5) == worker_bits(6)
      False
    """
    return mixed(mixed(seed))


def signed(bits: int) -> int:
    """The lowest 64 bits of an integer as one with a sign.

    Examples:
      >>> signed(2**64 - 1), signed(2**63), signed(2**64 + 5)
      (-1, -9223372036854775808, 5)
    """
    return (bits + 2**63) % 2**64 - 2**63
