"""Joins the rows of all ranks of a process group, with gradients to the rank of each row."""

from typing import Any, Callable, NamedTuple, Optional, Tuple

import torch
from torch import distributed
from torch.autograd.function import once_differentiable

from merlin_popsampler.errors import PopSamplerError


class RankGroup:
    """Wraps a process group of `torch.distributed`, or one process without `torch.distributed`.

    Args:
      process_group: the process group; None is that of all ranks. It is looked up at each use, so
        `torch.distributed` may be initialized later.

    Raises:
      PopSamplerError: the argument is not a process group, or this process is not in it.
    """

    def __init__(self, process_group: Any = None) -> None:
        self.process_group = checked_group(process_group)

    def __deepcopy__(self, _: Any) -> "RankGroup":
        # A process group cannot be copied, so the copy of a module shares it.
        return self

    @property
    def size(self) -> int:
        """The number of ranks."""
        return int(distributed.get_world_size(self.process_group)) if _is_initialized() else 1

    def add_up(self, number: torch.Tensor) -> torch.Tensor:
        """Returns the sum of a number over the ranks, without a gradient; changes it in place."""
        if _is_initialized():
            distributed.all_reduce(number, group=self.process_group)
        return number

    def joined_rows(self, num: int, device: torch.device) -> "JoinedRows":
        """Collects the numbers of rows of all ranks; every rank must call it.

        Args:
          num: number of rows of this rank.
          device: a device that the backend of the process group supports.
        """
        if self.size == 1:
            return JoinedRows((num,), 0, self.process_group)
        sizes = _outside_of_graphs(_all_sizes, num, device, self.process_group)
        return JoinedRows(sizes, distributed.get_rank(self.process_group), self.process_group)


class JoinedRows(NamedTuple):
    """Describes the joined batch, in which the rows of the ranks follow in the order of the ranks.

    Attributes:
      sizes: number of rows of each rank.
      place: position of this rank in the group.
      process_group: the process group; None is that of all ranks.
    """

    sizes: Tuple[int, ...]
    place: int
    process_group: Any

    @property
    def own(self) -> slice:
        """The rows of this rank in the joined batch."""
        first = sum(self.sizes[: self.place])
        return slice(first, first + self.sizes[self.place])

    def join(self, tensor: torch.Tensor) -> torch.Tensor:
        """Joins the tensors of all ranks with one collective call.

        The backward pass sums the gradients of each row over all ranks with one all-reduce. So
        every rank must run both passes.

        Args:
          tensor: `[rows of this rank, ...]`.

        Returns:
          `[rows of all ranks, ...]`.
        """
        if len(self.sizes) == 1 or not any(self.sizes):
            return tensor
        joined: torch.Tensor = _outside_of_graphs(_join, tensor, self)
        return joined


def _all_sizes(num: int, device: torch.device, process_group: Any) -> Tuple[int, ...]:
    own = torch.tensor([num], device=device)
    parts = [torch.empty_like(own) for _ in range(distributed.get_world_size(process_group))]
    distributed.all_gather(parts, own, group=process_group)
    return tuple(torch.cat(parts).tolist())


def _join(tensor: torch.Tensor, rows: JoinedRows) -> Any:
    # `_Join.apply` is a new object at each access, for which a compiler would compile each call.
    return _Join.apply(tensor, rows)


def _outside_of_graphs(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function that a compiler must not trace, since shapes depend on other ranks.

    Args:
      function: a function of a module, so that each call passes the same object.
      *args: its arguments.
    """
    # Not as a decorator, which would load the compiler with this module.
    if torch.compiler.is_compiling():
        function = torch.compiler.disable(function)
    return function(*args)


class _Join(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor, rows: JoinedRows) -> torch.Tensor:
        ctx.rows = rows
        # Collectives need equal shapes.
        padded = tensor.new_zeros((max(rows.sizes), *tensor.shape[1:]))
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in rows.sizes]
        distributed.all_gather(parts, padded, group=rows.process_group)
        return torch.cat([part[:size] for part, size in zip(parts, rows.sizes)])

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: torch.Tensor) -> Tuple[torch.Tensor, None]:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total, group=ctx.rows.process_group)
        return total[ctx.rows.own], None


def rank_to_draw_as(shared: bool, process_group: Any) -> Optional[int]:
    """Returns the global rank whose stream of draws this process uses; None is its own rank.

    Args:
      shared: whether ranks draw the same ids.
      process_group: the ranks that draw the same ids; None is all ranks.

    Raises:
      PopSamplerError: a group is passed, but `shared` is False; or see `checked_group`.
    """
    if process_group is None:
        return 0 if shared else None
    if not shared:
        raise PopSamplerError(
            "Expected a process_group of ranks that draw the same ids. Received: one, and "
            "share_across_replicas=False. Pass share_across_replicas=True with it, or leave it out."
        )
    return int(distributed.get_global_rank(checked_group(process_group), 0))


def checked_group(process_group: Any) -> Any:
    """Returns its argument if it is None, or a process group of which this process is a member.

    Raises:
      PopSamplerError: the argument is neither.
    """
    kind = getattr(distributed, "ProcessGroup", ())  # absent in builds without torch.distributed
    if process_group is not None and not isinstance(process_group, kind):
        raise PopSamplerError(
            "Expected a process_group that has this process as a member. Received: "
            f"{type(process_group).__name__} {process_group!r}. Pass what "
            "torch.distributed.new_group(ranks) returned on a rank of `ranks`, or None for all."
        )
    return process_group


def _is_initialized() -> bool:
    return bool(distributed.is_available() and distributed.is_initialized())
