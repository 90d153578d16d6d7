"""Random numbers on a device, in integer operations: the interpreter of `core.philox`."""

from typing import Tuple

import torch

from merlin_popsampler.core.philox import INCREMENTS, MANTISSA, MULTIPLIERS, ROUNDS, WORD, words


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
    turns = torch.arange(ROUNDS, device=key.device)[:, None]
    keys = ((torch.stack(words(key)) + turns * _pair(INCREMENTS, key.device)) & WORD)[..., None]
    multipliers = _pair(MULTIPLIERS, key.device)[:, None]
    low, high = words(position)
    blocks = torch.arange((num + 1) // 2, device=key.device)
    # Words 0 and 2 of every counter, which are multiplied, and words 1 and 3.
    even = torch.stack([blocks, low.expand_as(blocks)])
    odd = torch.stack([torch.zeros_like(high), high])[:, None]
    for round_key in keys.unbind():
        products = (even * multipliers).flip(0)
        even, odd = ((products >> 32) ^ odd ^ round_key) & WORD, products
    return (even | (odd << 32)).T.reshape(-1)[:num]


def _pair(numbers: Tuple[int, int], device: torch.device) -> torch.Tensor:
    """int64 `[2]`, made where it is needed: for a copy from the host, a GPU would have to wait."""
    step = numbers[1] - numbers[0]
    return torch.arange(numbers[0], numbers[0] + 2 * step, step, dtype=torch.int64, device=device)
