"""Moves the state of an optimizer along with the rows of the tables that it belongs to."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple

import torch

from merlin_popsampler.core.checks import truncate_repr
from merlin_popsampler.errors import PopSamplerError

from .row_moves import Move, check_plain, move_rows

_INITIAL = {"sum": "initial_accumulator_value"}
"""Slots whose initial value is not 0, by the setting that holds it (Adagrad)."""


class Slots(NamedTuple):
    """Holds the moved state of an optimizer.

    Attributes:
      state_dict: the state that the new optimizer loads.
      of_tables: names of the slots whose rows were moved, by name of their table.
    """

    state_dict: Dict[str, Any]
    of_tables: Dict[str, List[str]]


def moved_slots(
    moves: Mapping[int, Move], optimizer: torch.optim.Optimizer, old_optimizer: Any
) -> Slots:
    """Builds the state of the new optimizer from that of the old one.

    Parameters without a move, or whose weight the new model keeps, keep their state as well.

    Args:
      moves: the move of each weight of the new model, by Python's `id` of the weight.
      optimizer: optimizer of the new model.
      old_optimizer: optimizer of the old model, or its `state_dict()`.

    Raises:
      PopSamplerError: the optimizers differ in class or groups of parameters; a slot has neither
        the shape of its weight nor one element; or `old_optimizer` is a dict of other values.
    """
    if not isinstance(old_optimizer, Mapping) and type(optimizer) is not type(old_optimizer):
        raise _different(type(optimizer).__name__, type(old_optimizer).__name__)
    own, given = optimizer.state_dict(), _state_of(old_optimizer)
    sizes = [[len(group["params"]) for group in state["param_groups"]] for state in (own, given)]
    if sizes[0] != sizes[1]:
        raise _different(f"groups of {sizes[0]} parameters", f"groups of {sizes[1]}")
    groups = optimizer.param_groups
    olds = [key for group in given["param_groups"] for key in group["params"]]
    news = [
        (key, parameter, group)
        for packed, group in zip(own["param_groups"], groups)
        for key, parameter in zip(packed["params"], group["params"])
    ]
    state, of_tables = dict(own["state"]), {}
    for old_key, (key, parameter, group) in zip(olds, news):
        move = moves.get(id(parameter))
        if move is None or move.source is None:
            continue
        state.pop(key, None)
        found = given["state"].get(old_key)
        if found is None:
            continue
        state[key] = {slot: _moved(move, slot, value, group) for slot, value in found.items()}
        if move.id_map is not None:
            of_tables[move.name] = [
                slot for slot, value in found.items() if _is_of_rows(move, value)
            ]
    return Slots({"state": state, "param_groups": own["param_groups"]}, of_tables)


def _state_of(old_optimizer: Any) -> Any:
    """Returns the `state_dict` of an optimizer, or the argument if it is one."""
    is_dict = isinstance(old_optimizer, Mapping)
    given = old_optimizer if is_dict else old_optimizer.state_dict()
    if not {"state", "param_groups"} <= set(given):
        raise PopSamplerError(
            "Expected old_optimizer as an optimizer of PyTorch, or its state_dict(). Received: "
            f"{type(old_optimizer).__name__} of {truncate_repr(sorted(map(str, given)))}. Pass the "
            "part of a checkpoint that holds the optimizer's state."
        )
    return given


def _moved(move: Move, slot: str, value: Any, group: Dict[str, Any]) -> Any:
    """Returns a copy of a slot for the new optimizer, with moved rows if its weight is a table."""
    if not isinstance(value, torch.Tensor):
        return value
    if not _is_of_rows(move, value) and value.numel() > 1:
        raise PopSamplerError(
            f"Weight {move.name!r}: expected optimizer slots of its own shape "
            f"{list(move.source.shape)}, or single numbers. Received: {slot!r} of shape "
            f"{list(value.shape)}. Leave optimizer and old_optimizer out: only the "
            "state of optimizers such as Adam, Adagrad or SGD can be moved."
        )
    check_plain(f"{move.name}, slot {slot}", value)
    if move.id_map is None or not _is_of_rows(move, value):
        return value.clone()
    device = move.target.device
    moved = torch.zeros(move.target.shape, dtype=value.dtype, device=device)
    moved += group.get(_INITIAL.get(slot, ""), 0.0)
    move_rows(moved, value, move.id_map)
    return moved


def _is_of_rows(move: Move, value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.shape == move.source.shape


def _different(new: str, old: str) -> PopSamplerError:
    error: PopSamplerError = PopSamplerError(
        f"Expected two optimizers of one class with the same groups of parameters. Received: {new} "
        f"now, {old} before. Make both in the same way, or leave both out."
    )
    return error
