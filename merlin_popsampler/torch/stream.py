"""A stream of random draws as a buffer of a module: what to draw next, and who draws what.

The buffer is int64 `[position, unseeded, key]`: the number of the next batch, 1 while no key is
chosen yet, and the key that all ranks have in common. As a buffer, `state_dict` carries it, and
DistributedDataParallel makes it that of rank 0; so a rank's own key is mixed in at the draw.
"""

from typing import Optional, Tuple

import torch
from torch import distributed

from merlin_popsampler.core.keys import own_bits, seed_key, signed


def add_stream(module: torch.nn.Module, seed: Optional[int]) -> None:
    """The stream's buffer, `stream`, as part of the module.

    Args:
      module: the owner.
      seed: key of the stream; None leaves the choice to the first draw.
    """
    start = [0, 1, 0] if seed is None else [0, 0, seed_key(seed)]
    with torch.inference_mode(False):  # or it could not move on outside of that mode
        module.register_buffer("stream", torch.tensor(start, dtype=torch.int64))


def next_position(
    stream: torch.Tensor, seed: Optional[int], shared: bool
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Key and position of the next batch; takes that batch from the stream.

    Args:
      stream: the buffer of `add_stream`.
      seed: of a stream that has no key yet; None takes PyTorch's.
      shared: whether all ranks draw the same ids, or each a stream of its own.

    Returns:
      Two int64 scalars on the stream's device.
    """
    position, unseeded, key = stream.clone().unbind()
    first = torch.ops.merlin_popsampler.key_of_torch(key) if seed is None else seed_key(seed)
    key = key + unseeded * first
    stream.copy_(torch.stack([position + 1, torch.zeros_like(unseeded), key]))
    return key if shared else key ^ signed(own_bits(_rank())), position


# An operator, since a compiler would keep the first answer of a function.
_KEY_OF_TORCH = "merlin_popsampler::key_of_torch"
torch.library.define(_KEY_OF_TORCH, "(Tensor like) -> Tensor")


@torch.library.impl(_KEY_OF_TORCH, "default")  # type: ignore[untyped-decorator]
def _key_of_torch(like: torch.Tensor) -> torch.Tensor:
    """The key of `torch.manual_seed`."""
    return torch.full_like(like, seed_key(torch.initial_seed()))


@torch.library.register_fake(_KEY_OF_TORCH)  # type: ignore[untyped-decorator]
def _shape_of_key(like: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(like)


def _rank() -> int:
    running = distributed.is_available() and distributed.is_initialized()
    return distributed.get_rank() if running else 0
