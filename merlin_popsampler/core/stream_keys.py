"""Computes the keys of streams of random numbers, for seeds, replicas and workers."""

from typing import Any

_FAR = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio. Its multiples are far apart (Knuth, volume 3, 6.4)."""


def mixed(number: int) -> int:
    """Hashes an integer to 64 bits in [0, 2**64), so that close numbers give unrelated bits.

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
    """Returns the key of a seed, a signed integer of 64 bits, as frameworks store it.

    Examples:
      >>> seed_key(17) == seed_key(17), seed_key(17) == seed_key(18)
      (True, False)
    """
    return signed(mixed(seed))


def own_bits(replica: Any, worker: int = 0) -> Any:
    """Returns the bits that turn the common key into the key of a replica, by XOR.

    The first replica of the first worker draws the common stream.

    Args:
      replica: number of the replica within its process group, from 0 on; an integer, or a tensor of
        unsigned 64-bit integers.
      worker: number of the process among processes without a common group, from 0 on.

    Returns:
      The bits, of the type of `replica`. The caller truncates integers to 64 bits.

    Examples:
      >>> own_bits(0), f"{own_bits(1):x}"
      (0, '9e3779b97f4a7c15')
    """
    return (replica + worker * 2**32) * _FAR


def worker_bits(seed: int) -> int:
    """Returns the bits that turn a key into the key of a data-loading worker, by XOR.

    Args:
      seed: seed of the worker's process, which differs between workers and epochs.

    Returns:
      64 bits in [0, 2**64). They are unrelated to `seed_key(seed)`, which they would cancel.

    Examples:
      >>> worker_bits(5) == worker_bits(6)
      False
    """
    return mixed(mixed(seed))


def signed(bits: int) -> int:
    """Returns the lowest 64 bits of an integer as a signed integer.

    Examples:
      >>> signed(2**64 - 1), signed(2**63), signed(2**64 + 5)
      (-1, -9223372036854775808, 5)
    """
    return (bits + 2**63) % 2**64 - 2**63
