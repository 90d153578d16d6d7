"""Computes the random numbers of `core.philox` in PyTorch, by integer operations."""

from typing import List, Tuple

import torch

from merlin_popsampler.core.philox import INCREMENTS, MANTISSA, MULTIPLIERS, ROUNDS, WORD, halves


def uniforms(key: torch.Tensor, position: torch.Tensor, num: int) -> torch.Tensor:
    """Draws uniforms of 53 bits, float64 `[num]` in [0, 1), equal to those of `core.philox`."""
    return (random_bits(key, position, num) & MANTISSA).to(torch.float64) * 2.0**-53


def random_bits(key: torch.Tensor, position: torch.Tensor, num: int) -> torch.Tensor:
    """Computes the random 64-bit numbers at a position of a stream, as `core.philox.random_bits`.

    Products of two 32-bit words wrap around in signed 64 bits, and shifts repeat the sign. So
    higher bits are masked before they matter.

    Args:
      key: int64 scalar, on the device that draws.
      position: int64 scalar, likewise.
      num: number of random numbers, static.

    Returns:
      int64 `[num]`.
    """
    # A compiler fuses four vectors into one loop, but makes several loops of a matrix's rows.
    c0, c1 = _count((num + 1) // 2, key.device), torch.zeros_like(key)
    c2, c3 = halves(position)
    for k0, k1 in zip(*_round_keys(key)):
        first, third = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1 = ((third >> 32) ^ c1 ^ k0) & WORD, third
        c2, c3 = ((first >> 32) ^ c3 ^ k1) & WORD, first
    return torch.stack([c0 | (c1 << 32), c2 | (c3 << 32)], dim=1).reshape(-1)[:num]


def _round_keys(key: torch.Tensor) -> List[Tuple[torch.Tensor, ...]]:
    """Returns the two halves of the key in every round.

    They are computed on the device, since a GPU would have to wait for a copy from the host.
    """
    turns = _count(ROUNDS, key.device)
    return [((half + turns * step) & WORD).unbind() for half, step in zip(halves(key), INCREMENTS)]


def _count(num: int, device: torch.device) -> torch.Tensor:
    """Returns 0, 1, 2, ..., int64 `[num]`.

    The mask does not change the values, but the compilation. Without it, PyTorch's compiler treats
    products of these numbers as indices, and computes them on a GPU in 32 bits, where they
    overflow.
    """
    return torch.arange(num, device=device) & WORD
