"""Shards tables over a process group of one rank."""

from contextlib import contextmanager
from typing import Any, Iterator

import torch
from torch import distributed


@contextmanager
def one_rank() -> Iterator[Any]:
    """Starts a process group of this process alone, and returns its mesh."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        yield distributed.init_device_mesh("cpu", (1,))
    finally:
        distributed.destroy_process_group()


def sharded_by_its_owner(mesh: Any, table: torch.nn.Module) -> torch.nn.Module:
    """Returns a table whose vectors FSDP2 gathers only in the forward of its owner."""
    from torch.distributed.fsdp import fully_shard

    fully_shard(torch.nn.Sequential(table), mesh=mesh)
    return table
