"""Implements a stream of draws: a module that holds the position and the key of the next batch.

The state is int64 `[position, unseeded, key]`: the number of the next batch, 1 until a key is
chosen, and the common key of all ranks. It is a plain tensor on the module's device, so compiled
code and CUDA graphs can advance it. It is in `state_dict` as extra state. It is not a buffer, since
averages of weights and broadcasts would change it, and `to_empty` would erase it.

One operator takes a batch from the stream. It reads and advances the state under a lock, so no two
threads get the same batch. It reads rank and worker when it runs, not when it is compiled.
"""

import os
import threading
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from torch import distributed
from torch.utils.data import get_worker_info

from merlin_popsampler.core.stream_keys import own_bits, seed_key, signed, worker_bits
from merlin_popsampler.errors import PopSamplerError

from .eager import is_eager


class Stream(torch.nn.Module):  # type: ignore[misc]
    """Holds the stream of one sampler.

    Args:
      seed: seed of the stream; None chooses a key at the first draw.

    Attributes:
      seed: the argument.
      state: int64 `[position, unseeded, key]`, see the docstring of the module.
    """

    def __init__(self, seed: Optional[int]) -> None:
        super().__init__()
        self.seed = seed
        self._rank_of_maker: Optional[int] = None
        # FSDP, DataParallel and functional_call move buffers without `_apply`. This empty buffer
        # shows the device of the module.
        self._anchor: torch.Tensor
        self.register_buffer("_anchor", torch.empty(0, dtype=torch.int64), persistent=False)
        self._start = [0, 1, 0] if seed is None else [0, 0, seed_key(seed)]
        self.state = _state(self._start, self.device)

    @property
    def device(self) -> torch.device:
        """The device of the module."""
        device: torch.device = self._anchor.device
        return device

    def next_position(self, rank: Optional[int]) -> Tuple[torch.Tensor, torch.Tensor]:
        """Returns the key and the position of the next batch, and advances the stream.

        Args:
          rank: the rank of `torch.distributed` whose ids are drawn; None is that of this process.

        Returns:
          Two int64 scalars on the stream's device.
        """
        arguments = self.seed is not None, rank, self._rank_of_maker, 1
        # A direct call, without the overhead of PyTorch's dispatcher.
        if is_eager(self.state) and not self.state.is_meta:
            position, _, key = _take(self.state, self.state, *arguments).unbind()
            return key, position
        # Under `vmap`, this empty tensor shows the mode of randomness: one draw for each batch, or
        # `vmap`'s own error. No number is drawn, so PyTorch's generator is unchanged.
        lanes = torch.rand(0, device=self.state.device)
        take = torch.ops.merlin_popsampler.take
        if _is_exporting():  # an export rejects changes of tensors that are not buffers
            take = torch.ops.merlin_popsampler.take_exported
        position, _, key = take(self.state, lanes, *arguments).unbind()
        return key, position

    def get_extra_state(self) -> torch.Tensor:
        """Returns the state tensor itself, not a copy, as `state_dict` does with buffers."""
        return self.state

    def set_extra_state(self, state: Any) -> None:
        """Continues a saved stream.

        Args:
          state: the result of `get_extra_state`.

        Raises:
          PopSamplerError: `state` is not the state of a stream.
        """
        is_tensor = isinstance(state, torch.Tensor)
        if not is_tensor or state.shape != (3,) or state.dtype != torch.int64:
            received = f"{state.dtype} {list(state.shape)}" if is_tensor else type(state).__name__
            raise PopSamplerError(
                "Expected the state of a stream, int64 [3]. Received: "
                f"{received}. Load what state_dict() of a sampler gave, neither cast nor averaged."
            )
        if state.is_meta:
            return
        if self.device.type == "meta":  # load_state_dict(assign=True) leaves the anchor there
            self._anchor = torch.empty_like(self._anchor, device=state.device)
        position, unseeded, key = state.tolist()
        if unseeded and self.seed is not None:  # saved before the first draw
            unseeded, key = 0, seed_key(self.seed)
        self._start = [position, unseeded, key]
        loaded = _state(self._start, self.device)
        # In place if possible, since CUDA graphs use the address.
        self.state = loaded if self.state.is_meta else self.state.copy_(loaded)

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> "Stream":
        super()._apply(fn, recurse)
        with torch.inference_mode(False):
            device = fn(self.state).device  # `share_memory` acts in place
            if self.state.is_meta:
                self.state = _state(self._start, device)
            else:
                if device.type == "meta":
                    self._start = self.state.tolist()
                self.state = self.state.to(device)
        return self

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "_rank_of_maker": _rank(self._rank_of_maker)}


def _state(numbers: List[int], device: torch.device) -> torch.Tensor:
    with torch.inference_mode(False):  # else it could not advance outside of that mode
        return torch.tensor(numbers, dtype=torch.int64, device=device)


def _is_exporting() -> bool:
    is_exporting = getattr(torch.compiler, "is_exporting", None)  # of PyTorch 2.7
    return is_exporting is not None and is_exporting()


# ------------------------------------------------------------------ the operator

_locks: Dict[int, threading.Lock] = {}
"""Locks by process id, since a child that is forked during a draw could never take its parent's."""


def _take(
    state: torch.Tensor,
    _lanes: torch.Tensor,
    seeded: bool,
    rank: Optional[int],
    rank_of_maker: Optional[int],
    count: int,
) -> torch.Tensor:
    """Returns position and key of the next batch, and advances the stream by `count` batches.

    Args:
      state: `[position, unseeded, key]`, which is advanced.
      _lanes: used only by `vmap`; see `next_position`.
      seeded: whether the stream has a seed.
      rank: the rank whose ids are drawn; None is that of the process.
      rank_of_maker: rank of the process that pickled the stream, for a worker of a DataLoader.
      count: number of batches to advance by.

    Returns:
      int64 `[3]`, a new tensor: position of the first batch, 0, and the key of the draws.
    """
    worker = get_worker_info()
    with _locks.setdefault(os.getpid(), threading.Lock()):
        if worker is not None and state.device.type == "cpu" and state.is_shared():
            _detach(state, seeded)
        if not seeded:
            state[2].add_(state[1], alpha=seed_key(torch.initial_seed()))
            state[1].zero_()
        taken = state.clone()
        state[0].add_(count)
    bits = own_bits(_rank(rank_of_maker if worker else None) if rank is None else rank)
    if worker is not None:
        bits ^= worker_bits(worker.seed)
    if bits:
        taken[2].bitwise_xor_(signed(bits))
    return taken


def _detach(state: torch.Tensor, seeded: bool) -> None:
    """Gives the worker of a DataLoader a separate state.

    A spawned worker shares memory with the trainer, so the draws of both would depend on timing.
    The worker starts at position 0, since the trainer may have advanced. Its key is different.
    """
    start = [0, 0, int(state[2])] if seeded else [0, 1, 0]
    state.set_(torch.tensor(start))


def _take_in_lanes(
    info: Any,
    in_dims: Tuple[Optional[int], ...],
    state: torch.Tensor,
    lanes: torch.Tensor,
    seeded: bool,
    rank: Optional[int],
    rank_of_maker: Optional[int],
    count: int,
) -> Tuple[torch.Tensor, int]:
    """Implements `_take` for `vmap` with randomness="different": one batch for each lane."""
    size = info.batch_size
    if in_dims[1] is not None:
        lanes = lanes.movedim(in_dims[1], 0)[0]
    take = torch.ops.merlin_popsampler.take
    first = take(state, lanes, seeded, rank, rank_of_maker, count * size)
    steps = torch.arange(size, device=first.device)[:, None] * count
    return first + torch.nn.functional.pad(steps, (0, 2)), 0


def _define(name: str, state: str, **settings: Any) -> None:
    name = f"merlin_popsampler::{name}"
    schema = f"({state}, Tensor lanes, bool seeded, int? rank, int? maker, int count) -> Tensor"
    torch.library.define(name, schema, **settings)
    torch.library.impl(name, "default", _take)
    torch.library.register_fake(name, lambda state, *_: torch.empty_like(state))
    if hasattr(torch.library, "register_vmap"):  # before PyTorch 2.5, vmap refuses the operator
        torch.library.register_vmap(name, _take_in_lanes)


_define("take", "Tensor(a!) state")
# The mutation is not declared; the tag prevents compilers from merging, moving or repeating draws.
_define("take_exported", "Tensor state", tags=torch.Tag.nondeterministic_seeded)


def _rank(otherwise: Optional[int] = None) -> int:
    """Returns the rank of this process; without a process group, `otherwise` or 0."""
    if distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    return otherwise or 0
