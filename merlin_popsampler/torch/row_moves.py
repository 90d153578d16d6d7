"""Moves rows of tensors from the ids of an earlier fit to those of a later fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Optional

import torch

from merlin_popsampler.core.id_map import AS_INITIALIZED, IdMap
from merlin_popsampler.errors import PopSamplerError

_ROWS = 2**16
"""Number of rows that are copied at a time, so that no second table is in memory."""
_PLAIN = (torch.Tensor, torch.nn.Parameter)


@dataclass(frozen=True)
class Move:
    """Describes how a weight of the new model gets its values.

    Args:
      name: name of the weight in `state_dict`.
      target: weight of the new model.
      source: weight of the old model; None if the target stays unchanged.
      id_map: map from old to new rows; None if the weight is copied unchanged.
    """

    name: str
    target: Any
    source: Any = None
    id_map: Optional[IdMap] = None


def check_plain(name: str, tensor: Any) -> None:
    """Checks that a weight is a plain tensor that holds all of its values.

    Args:
      name: name of the weight, for the message.
      tensor: the weight.

    Raises:
      PopSamplerError: the tensor is sharded, quantized, sparse, or on the meta device.
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
    """Copies the rows of all ids that both fits have.

    Args:
      target: table of the new model, `[new.cardinality or more, ...]`, to which rows are written.
      source: table of the old model, `[old.cardinality or more, ...]`.
      id_map: map from the ids of the old table to those of the new one.
    """
    kept = id_map.kept_ids
    before = id_map.old_ids[kept]
    for now, old in zip(_parts(kept), _parts(before)):
        rows = source[old.to(source.device)]
        target[now.to(target.device)] = rows.to(target.device, target.dtype)


def put_rows(target: torch.Tensor, id_map: IdMap, rows: Any) -> None:
    """Writes the result of `new_rows` to the rows of new ids; None writes nothing."""
    if rows is not None:
        target[_added(id_map).to(target.device)] = rows


def new_rows(move: Move, new_items: Any) -> Any:
    """Computes the initial rows of new ids.

    Args:
      move: the move of a table.
      new_items: see `warm_start`.

    Returns:
      One row for all new ids, a row for each, or None if they stay as initialized.

    Raises:
      PopSamplerError: there are no rows of which `new_items` takes the mean.
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
