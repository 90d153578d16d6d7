"""Rows of tensors, moved from the ids of one fit to those of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Optional

import torch

from merlin_popsampler.core.id_map import AS_INITIALIZED, IdMap
from merlin_popsampler.errors import PopSamplerError

_ROWS = 2**16
"""Rows that are copied together: a table is never in memory once more."""
_PLAIN = (torch.Tensor, torch.nn.Parameter)


@dataclass(frozen=True)
class Move:
    """What becomes of one weight.

    Args:
      name: in `state_dict`.
      target: the new model's weight.
      source: the old model's; None where the new model keeps its own.
      id_map: where each row goes; None for a weight that is copied as it is.
    """

    name: str
    target: Any
    source: Any = None
    id_map: Optional[IdMap] = None


def check_plain(name: str, tensor: Any) -> None:
    """Refuses what does not hold all of its values itself.

    Raises:
      PopSamplerError: a tensor that is sharded, quantized, sparse, or on the meta device.
    """
    plain = type(tensor) in _PLAIN and tensor.layout == torch.strided and not tensor.is_meta
    if not plain or tensor.is_quantized:
        received = f"{type(tensor).__name__} on {getattr(tensor, 'device', 'no device')}"
        raise PopSamplerError(
            f"Weight {name!r}: expected a plain tensor that holds all of its values. Received: "
            f"{received}. Warm start the whole model in memory, and shard, quantize or wrap it "
            "afterwards."
        )


def move_rows(target: torch.Tensor, source: torch.Tensor, id_map: IdMap) -> None:
    """Writes the rows of all ids that both fits have; other rows stay as they are."""
    kept = id_map.kept_ids
    before = id_map.old_ids[kept]
    for now, old in zip(_parts(kept), _parts(before)):
        rows = source[old.to(source.device)]
        target[now.to(target.device)] = rows.to(target.device, target.dtype)


def put_rows(target: torch.Tensor, id_map: IdMap, rows: Any) -> None:
    """Writes what `new_rows` returned to the ids that are new."""
    if rows is not None:
        target[_added(id_map).to(target.device)] = rows


def new_rows(move: Move, new_items: Any) -> Any:
    """What the rows of new ids begin with: a row or more; None where they stay as they are.

    Args:
      move: of a table.
      new_items: see `warm_start`.
    """
    id_map: Any = move.id_map
    if new_items == AS_INITIALIZED or not id_map.moved.added:
        return None
    if callable(new_items):
        rows = move.target[_added(id_map).to(move.target.device)]
        new_items(rows)
        return rows
    ids = id_map.averaged(new_items)
    total = torch.zeros(move.source.shape[1:], dtype=torch.float64)
    for part in _parts(ids):
        rows = move.source[part.to(move.source.device)]
        total += rows.sum(0, dtype=torch.float64).cpu()
    return (total / len(ids)).to(move.target.device, move.target.dtype)


def _added(id_map: IdMap) -> torch.Tensor:
    return torch.from_numpy(id_map.added_ids)


def _parts(ids: Any) -> Iterator[torch.Tensor]:
    return (torch.from_numpy(ids[at : at + _ROWS].copy()) for at in range(0, len(ids), _ROWS))
