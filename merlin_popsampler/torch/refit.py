"""Copies the weights of an earlier PyTorch model to a model of a refit, whose items have new ids.

All checks, and all computations that may fail, come before the first weight is written. So a warm
start that fails leaves both models and both optimizers unchanged.
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
"""End of the keys in `state_dict` that hold a sampler's ids by rank, which each fit sets anew."""


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
    """Copies the weights of a model into a new model, after a refit gave items other ids.

    In the tables that `id_maps` names, each row moves to the new id of its item. All other weights
    and buffers of its `state_dict` are copied unchanged, and samplers continue their streams of
    draws. A table that several modules share is moved once.

    Args:
      new: the model, or a single table, whose weights are written.
      old: the earlier model or table, or its `state_dict()`; it is only read.
      id_maps: an `IdMap` for each module that has a row for each id, such as an Embedding or the
        Linear layer of an output, by name of the module. The name is that in `named_modules`, or
        the last part of it. None leaves the weights of a module in `new` unchanged, for example
        features that were built from the new data. For a single table, the `IdMap` itself.
      optimizer: optimizer of `new`. Its state is replaced, and its settings stay.
      old_optimizer: optimizer of `old`, of the same class and with the parameters in the same
        order; or its `state_dict()`, which does not name the class. The slots of new rows are 0, or
        Adagrad's `initial_accumulator_value`.
      new_items: initial rows of new items: "mean", the mean row of the items in both fits; "out of
        vocabulary", the mean of the old rows for unknown keys; "as initialized", the rows in `new`;
        or an initializer that fills a tensor `[rows, ...]` in place, such as
        `torch.nn.init.xavier_uniform_`.

    Returns:
      The tables, weights and slots that were moved, copied and left, by their names in
      `state_dict`.

    Raises:
      PopSamplerError: `new` is not a module; `old` is neither a module nor a `state_dict`, but a
        path, for example; the models differ in more than these tables; a weight with a row for each
        id has no `IdMap`; a weight is sharded, on the meta device or shared by both models; or the
        optimizers differ in class or parameters.

    Examples:
      >>> from merlin_popsampler import IdMap
      >>> from merlin_popsampler.core.domain import IdDomain
      >>> domain, larger = IdDomain(3, 5), IdDomain(3, 6)
      >>> old, new = (torch.nn.Embedding(ids.cardinality, 8) for ids in (domain, larger))
      >>> warm_start(new, old, IdMap([0, 1, 2, 4, 3, 6], domain, larger)).tables
      {'weight': MovedRows(kept=6, added=1, gone=0)}
      >>> bool((new.weight[4] == old.weight[3]).all())  # the item of id 3 has id 4 now
      True
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
    """Returns the checked move of each weight of the new model; a shared weight has one.

    Raises:
      PopSamplerError: see `warm_start`.
    """
    if not isinstance(new, torch.nn.Module):
        raise PopSamplerError(
            "Expected the new model itself, whose weights are written. Received: "
            f"{type(new).__name__}. Pass the module, not its state_dict()."
        )
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
    if isinstance(model, Mapping):
        return model
    if isinstance(model, torch.nn.Module):
        return model.state_dict(keep_vars=True)
    raise PopSamplerError(
        f"Expected the earlier model or its state_dict(). Received: {type(model).__name__}. Load "
        "the file first: torch.load(path, weights_only=True)."
    )


def _names(state: Mapping[str, Any]) -> Set[str]:
    """Returns the keys of a `state_dict` without those of `_MAPPED`."""
    return {name for name in state if not name.endswith(_MAPPED)}


def _weights(state: Mapping[str, Any]) -> Dict[str, Any]:
    return {name: value for name, value in state.items() if not name.endswith(_EXTRA)}


def _id_map_of(name: str, id_maps: Dict[str, Any]) -> List[Any]:
    """Returns the id map (or None) of a weight in a list; an empty list if no name matches it."""
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
            "in both. Build the new model separately, or pass copy.deepcopy(old.state_dict())."
        )


def _check_shared(first: Move, other: Move) -> None:
    """Raises an error if two names of one new weight have different old weights or id maps."""
    if first.id_map is not other.id_map or (first.source is None) != (other.source is None):
        received = "different id maps"
    elif first.source is not None and not _same(first.source, other.source):
        received = "different values in the old model"
    else:
        return
    raise PopSamplerError(
        f"Weights {first.name!r} and {other.name!r}: expected one old weight and one id map for "
        f"both, since they share one weight in the new model. Received: {received}. Share the "
        "weight in both models, and give both names one id map."
    )


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.data_ptr() == other.data_ptr() or bool(torch.equal(one, other))


def _extra_states(old: Any) -> Dict[str, Any]:
    """Returns copies of the extra state by module, mainly the streams of draws."""
    states = ((name, value) for name, value in _state_dict(old).items() if name.endswith(_EXTRA))
    return {
        name[: -len(_EXTRA)].rstrip("."): copy.deepcopy(value)
        for name, value in states
        if not name.endswith(_MAPPED)
    }
