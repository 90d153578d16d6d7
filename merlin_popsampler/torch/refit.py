"""Warm start of a PyTorch model after a refit: each row goes where its item's id went.

Everything is checked, and what may fail is computed, before the first weight is written: a warm
start that fails leaves both models and both optimizers as they were.
"""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Mapping, Optional, Set

import torch

from merlin_popsampler.core.id_map import (
    WarmStart,
    check_rows,
    check_same_shape,
    checked_id_maps,
    checked_new_items,
)
from merlin_popsampler.errors import PopSamplerError

from .optimizer_slots import Slots, moved_slots
from .row_moves import Move, check_plain, move_rows, new_rows, put_rows

_EXTRA = "_extra_state"
_MAPPED = f"domain.{_EXTRA}"
"""Of samplers whose ids are in any order: these belong to the counts of their own fit."""


@torch.no_grad()  # type: ignore[untyped-decorator]
def warm_start(
    new: torch.nn.Module,
    old: Any,
    id_maps: Any,
    *,
    optimizer: Optional[torch.optim.Optimizer] = None,
    old_optimizer: Any = None,
    new_items: Any = "mean",
) -> WarmStart:
    """Gives a model of a new fit what a model of an earlier fit has learned.

    Rows of the tables that `id_maps` names move to the ids that their items have now. All other
    weights and buffers are copied, and samplers go on in their streams of draws. A table that
    several modules share is moved once.

    Args:
      new: the model, or a single table, whose weights are written.
      old: the earlier model or table, or its `state_dict()`; it is only read.
      id_maps: an `IdMap` by the name of each module that has a row for each id, such as an
        Embedding or the Linear layer of an output. The name is the module's in `named_modules`, or
        the last part of it. None leaves a module as `new` has it: features that were made from the
        new data. For a single table, the `IdMap` itself.
      optimizer: that of `new`; its state is replaced, and its settings stay.
      old_optimizer: that of `old`, of the same class and with the parameters in the same order; or
        its `state_dict()`. Rows of new items have no state yet: their slots are 0, or Adagrad's
        `initial_accumulator_value`.
      new_items: what new rows begin with: "mean", that of the items that both fits have; "out of
        vocabulary", the mean of the old rows of unknown keys; "as initialized", as `new` has them;
        or an initializer that fills a tensor `[rows, ...]` in place, such as
        `torch.nn.init.xavier_uniform_`.

    Returns:
      The tables, weights and slots that were moved, copied and left, by their names in
      `state_dict`.

    Raises:
      PopSamplerError: models that differ in more than these tables, a weight with a row for each id
        that no name covers, weights that are sharded, on the meta device or shared by both models,
        or optimizers that do not go together.

    Examples:
      >>> domain, larger = IdDomain(3, 5), IdDomain(3, 6)
      >>> old, new = (torch.nn.Embedding(ids.cardinality, 8) for ids in (domain, larger))
      >>> warm_start(new, old, IdMap([0, 1, 2, 4, 3, 6], domain, larger)).tables
      {'weight': MovedRows(kept=6, added=1, gone=0)}
    """
    new_items = checked_new_items(new_items)
    moves = _moves(new, old, checked_id_maps(id_maps))
    if (optimizer is None) != (old_optimizer is None):
        raise PopSamplerError(
            "Expected optimizer and old_optimizer together. Received: one of them. Pass both, or "
            "neither to begin with an optimizer that has no state."
        )
    slots = Slots({}, {})
    if optimizer is not None:
        slots = moved_slots({id(move.target): move for move in moves}, optimizer, old_optimizer)
    tables = [(move, move.id_map) for move in moves if move.id_map is not None]
    begin = [new_rows(move, new_items) for move, _ in tables]
    states = _extra_states(old)
    copied = [move for move in moves if move.source is not None and move.id_map is None]

    for move in copied:
        move.target.copy_(move.source)
    for (move, id_map), rows in zip(tables, begin):
        move_rows(move.target, move.source, id_map)
        put_rows(move.target, id_map, rows)
    for name, state in states.items():
        new.get_submodule(name).set_extra_state(state)
    if optimizer is not None:
        optimizer.load_state_dict(slots.state_dict)
    return WarmStart(
        {move.name: id_map.moved for move, id_map in tables},
        [move.name for move in copied],
        [move.name for move in moves if move.source is None],
        slots.of_tables,
    )


def _moves(new: torch.nn.Module, old: Any, id_maps: Dict[str, Any]) -> List[Move]:
    """What becomes of each weight of the new model, each once, all of it checked."""
    states = new.state_dict(keep_vars=True), _state_dict(old)
    targets, sources = map(_weights, states)
    named = {name: _id_map_of(name, id_maps) for name in targets}
    _check_keys(id_maps, targets)
    left = {name for name, found in named.items() if found == [None]}
    names = [_names(state) for state in states]
    missing, surplus = sorted(names[0] - names[1] - left), sorted(names[1] - names[0])
    if missing or surplus:
        raise PopSamplerError(
            "Expected two models with weights of the same names. Received: "
            f"{missing[:5]} in the new one alone, {surplus[:5]} in the old one alone. "
            "Make both in the same way, or pass the parts that they share."
        )
    own = {id(weight) for weight in (*new.parameters(), *new.buffers())}
    moves: Dict[int, Move] = {}
    for name, target in targets.items():
        move = Move(name, target)
        if name not in left:
            move = Move(name, target, sources[name], *named[name])
            _check_move(move, id(target) in own, id_maps)
        earlier = moves.setdefault(id(target), move)
        _check_shared(earlier, move)
    return list(moves.values())


def _state_dict(model: Any) -> Any:
    return model if isinstance(model, Mapping) else model.state_dict(keep_vars=True)


def _names(state: Mapping[str, Any]) -> Set[str]:
    """Names of all that is moved, copied or left; the ids of mapped samplers are not."""
    return {name for name in state if not name.endswith(_MAPPED)}


def _weights(state: Mapping[str, Any]) -> Dict[str, Any]:
    return {name: value for name, value in state.items() if not name.endswith(_EXTRA)}


def _id_map_of(name: str, id_maps: Dict[str, Any]) -> List[Any]:
    """The id map, or the None, that is given for a weight; an empty list where none is."""
    module = name.rpartition(".")[0]
    keys = [key for key in id_maps if key in ("", name, module) or module.endswith(f".{key}")]
    return [id_maps[max(keys, key=len)]] if keys else []


def _check_keys(id_maps: Dict[str, Any], targets: Dict[str, Any]) -> None:
    unknown = [key for key in id_maps if not any(_id_map_of(name, {key: 0}) for name in targets)]
    if unknown:
        tables = sorted({name.rpartition(".")[0] for name in targets if targets[name].ndim})
        raise PopSamplerError(
            f"Expected names of modules that have weights of their own. Received: {unknown}. "
            f"Pass one of {tables[:20]}, or the last part of it."
        )


def _check_move(move: Move, is_own: bool, id_maps: Dict[str, Any]) -> None:
    check_plain(move.name, move.source)
    check_plain(move.name, move.target if is_own else None)
    shapes = tuple(move.source.shape), tuple(move.target.shape)
    if move.id_map is None:
        check_same_shape(move.name, shapes, id_maps)
    else:
        check_rows(move.name, shapes, move.id_map)
        if not move.target.is_floating_point():
            raise PopSamplerError(
                f"Table {move.name!r}: expected rows of floating-point numbers. Received: "
                f"{move.target.dtype}, which no mean or initializer gives to new items. Make the "
                "table from the new data, and pass None for it."
            )
    memory = move.target.untyped_storage().data_ptr()
    if memory and memory == move.source.untyped_storage().data_ptr():
        raise PopSamplerError(
            f"Weight {move.name!r}: expected two models that share no memory. Received: one tensor "
            "in both. Make the new model anew, or pass a copy of the old one's state_dict()."
        )


def _check_shared(first: Move, other: Move) -> None:
    """Refuses a weight of several names that were several weights, or get several id maps."""
    if first.id_map is not other.id_map or (first.source is None) != (other.source is None):
        received = "different id maps"
    elif first.source is not None and not _same(first.source, other.source):
        received = "different values in the old model"
    else:
        return
    raise PopSamplerError(
        f"Weight {first.name!r}: expected one id map and one old weight for what {other.name!r} "
        f"shares. Received: {received}. Share it in both models, and give both names one id map."
    )


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() or bool(torch.equal(one, other))


def _extra_states(old: Any) -> Dict[str, Any]:
    """What is not a tensor of weights, by module: streams of draws above all."""
    states = ((name, value) for name, value in _state_dict(old).items() if name.endswith(_EXTRA))
    return {
        name[: -len(_EXTRA)].rstrip("."): copy.deepcopy(value)
        for name, value in states
        if not name.endswith(_MAPPED)
    }
