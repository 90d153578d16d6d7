"""Random numbers on a device, in integer operations: the interpreter of `core.philox`."""

from typing import List, Tuple

import torch

from merlin_popsampler.core.philox import INCREMENTS, MANTISSA, MULTIPLIERS, ROUNDS, WORD, halves


def uniforms(key: torch.Tensor, position: torch.Tensor, num: int) -> torch.Tensor:
    """float64 `[num]` in [0, 1) of 53 bits, those of `core.philox.random_uniforms`."""
    return (random_bits(key, position, num) & MANTISSA).to(torch.float64) * 2.0**-53


def random_bits(key: torch.Tensor, position: torch.Tensor, num: int) -> torch.Tensor:
    """The random numbers of a place in a stream, equal to `core.philox.random_bits`.

    Products of two words wrap around in 64 bits with a sign, and shifts repeat the sign; so what
    lies above a word is cut off before it matters.

    Args:
      key: int64 scalar, on the device that is to draw.
      position: int64 scalar, likewise.
      num: how many numbers, a static number.

    Returns:
      int64 `[num]`.
    """
    # Four vectors, of which a compiler makes one loop; rows of a matrix would be several.
    c0, c1 = _count((num + 1) // 2, key.device), torch.zeros_like(key)
    c2, c3 = halves(position)
    for k0, k1 in zip(*_round_keys(key)):
        first, third = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1 = ((third >> 32) ^ c1 ^ k0) & WORD, third
        c2, c3 = ((first >> 32) ^ c3 ^ k1) & WORD, first
    return torch.stack([c0 | (c1 << 32), c2 | (c3 << 32)], dim=1).reshape(-1)[:num]


def _round_keys(key: torch.Tensor) -> List[Tuple[torch.Tensor, ...]]:
    """The two words of the key, each as it is in every round.

    Made where they are needed: for a copy from the host, a GPU would have to wait.
    """
    turns = _count(ROUNDS, key.device)
    return [((word + turns * step) & WORD).unbind() for word, step in zip(halves(key), INCREMENTS)]


def _count(num: int, device: torch.device) -> torch.Tensor:
    """Words 0, 1, 2, ...: int64 `[num]`.

    The mask changes nothing here, but what PyTorch's compiler makes of it: without, it computes the
    products of a word as it does indices, on a GPU in 32 bits, for which the factors are too large.
    """
    return torch.arange(num, device=device) & WORD
