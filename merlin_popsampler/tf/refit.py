"""Copies the weights of an earlier Keras model to a model of a refit, whose items have new ids.

All checks, and all computations that may fail, come before the first weight is written. So a warm
start that fails leaves both models and both optimizers unchanged.
"""

import re
from typing import Any, Dict, List, Set

import tensorflow as tf

from merlin_popsampler.core.id_map import (
    WarmStart,
    check_rows,
    check_same_shape,
    checked_id_maps,
    checked_new_items,
)
from merlin_popsampler.errors import PopSamplerError

from .mapped_ids import MappedIdsInWeights
from .optimizer_slots import moved_slots
from .row_moves import Move, last_name, new_rows, weights_without_ids

_OWN = (
    "_trainable_weights",  # of Keras 2
    "_non_trainable_weights",
    "_trainable_variables",  # of Keras 3
    "_non_trainable_variables",
)
"""Attributes in which a layer keeps its own variables, without those of inner layers."""
_LORA = (
    "Enable LoRA and quantize after the warm start. If the old model has LoRA, save_weights() "
    "merges it: load the file in a model without it. "
)


def warm_start(
    new: Any,
    old: Any,
    id_maps: Any,
    *,
    optimizer: Any = None,
    old_optimizer: Any = None,
    new_items: Any = "mean",
) -> WarmStart:
    """Copies the weights of a Keras model into a new model, after a refit gave items other ids.

    In the tables that `id_maps` names, each row moves to the new id of its item. All other weights
    are copied unchanged, and samplers continue their streams of draws. A table that several layers
    share is moved once. Both models must have been built, or called on a batch.

    Args:
      new: the model, or a single layer, whose weights are written.
      old: the earlier model or layer, with the same layers in the same order; it is only read.
      id_maps: an `IdMap` for each layer that has a row for each id, such as an Embedding or the
        Dense layer of an output, by name of the layer. For embedding tables of Merlin Models, the
        name may be that of a column or its domain. None leaves the weights of a layer in `new`
        unchanged, for example features that were built from the new data. For a single table, the
        `IdMap` itself.
      optimizer: optimizer of `new`. Its state is replaced, and its settings stay.
      old_optimizer: optimizer of `old`, of the same class. The slots of new rows are 0, or
        Adagrad's `initial_accumulator_value`.
      new_items: initial rows of new items: "mean", the mean row of the items in both fits; "out of
        vocabulary", the mean of the old rows for unknown keys; "as initialized", the rows in `new`;
        or a Keras initializer, such as `tf.keras.initializers.GlorotUniform()`.

    Returns:
      The tables, weights and slots that were moved, copied and left, by the variables' names.

    Raises:
      PopSamplerError: an argument is not a Keras model or layer, such as a path; the models differ
        in more than these tables; a weight with a row for each id
        has no `IdMap`; a strategy has divided a table into parts; or the optimizers differ in class
        or slots.

    Examples:
      >>> from merlin_popsampler import IdMap
      >>> from merlin_popsampler.core.domain import IdDomain
      >>> domain, larger = IdDomain(3, 5), IdDomain(3, 6)
      >>> old, new = (tf.keras.layers.Embedding(ids.cardinality, 8) for ids in (domain, larger))
      >>> old.build(None), new.build(None)
      (None, None)
      >>> report = warm_start(new, old, IdMap([0, 1, 2, 4, 3, 6], domain, larger))
      >>> list(report.tables.values())
      [MovedRows(kept=6, added=1, gone=0)]
    """
    new_items = checked_new_items(new_items)
    moves = _moves(new, old, checked_id_maps(id_maps))
    taken = [move for move in moves if move.source is not None]
    slots = moved_slots(taken, new, optimizer, old_optimizer)
    begin = [new_rows(move, new_items) for move in taken]

    for move, rows in zip(taken, begin):
        move.target.assign(move.values(move.target, move.source, rows))
    of_tables: Dict[str, List[str]] = {}
    for slot in slots:
        slot.write()
        if slot.move is not None and slot.move.id_map is not None:
            of_tables.setdefault(slot.move.name, []).append(slot.name)
    return WarmStart(
        {move.name: move.id_map.moved for move in taken if move.id_map is not None},
        [move.name for move in taken if move.id_map is None],
        [move.name for move in moves if move.source is None],
        of_tables,
    )


def _moves(new: Any, old: Any, id_maps: Dict[str, Any]) -> List[Move]:
    """Returns the checked move of each weight of the new model.

    Raises:
      PopSamplerError: see `warm_start`.
    """
    for model in (new, old):
        if not isinstance(model, tf.keras.layers.Layer):
            raise PopSamplerError(
                f"Expected two Keras models or layers. Received: {type(model).__name__}. Load the "
                "earlier model first: tf.keras.models.load_model(path)."
            )
    targets, sources = _weights(new), _weights(old)
    names, columns = _names_of(new, targets), _columns_of(new)
    _check_pairs(names, _names_of(old, sources))
    _check_keys(id_maps, names, columns)
    without_ids = weights_without_ids(list(new._flatten_layers()))  # noqa: SLF001
    moves = []
    for name, target, source in zip(names, targets, sources):
        keys = [
            key
            for key in id_maps
            if key in ("", name, name.split("/")[0]) or key in columns.get(id(target), ())
        ]
        found = [id_maps[key] for key in keys]
        if len({id(id_map) for id_map in found}) > 1:
            raise PopSamplerError(
                f"Weight {name!r}: expected one id map. Received: different ones for {keys}, which "
                "name the same weight. Pass the same id map for all of them."
            )
        if found[:1] == [None]:
            move = Move(name, target)
        else:
            move = Move(name, target, source, *(() if id(target) in without_ids else found[:1]))
        _check_move(move, id_maps)
        moves.append(move)
    return moves


def _weights(model: Any) -> List[Any]:
    """Returns the variables of a model in its own order, without metrics and mapped item ids.

    The item ids of a sampler (`MappedIdsInWeights`) belong to the counts of its own fit.
    """
    layers = list(model._flatten_layers())  # noqa: SLF001 - no public name in Keras 2 and 3
    metrics = [each for each in layers if isinstance(each, tf.keras.metrics.Metric)]
    domains = [getattr(each, "domain", None) for each in layers]
    mapped = [each for each in domains if isinstance(each, MappedIdsInWeights)]
    passed = {id(weight) for each in (*metrics, *mapped) for weight in each.weights}
    return [weight for weight in model.weights if id(weight) not in passed]


def _names_of(model: Any, weights: List[Any]) -> List[str]:
    """Returns the names `<layer>/<variable>` of weights; a number makes repeated names distinct."""
    holders: Dict[int, str] = {id(weight): model.name for weight in weights}
    for layer in model._flatten_layers():  # noqa: SLF001
        own = (getattr(layer, name, ()) for name in _OWN)
        holders.update((id(weight), layer.name) for found in own for weight in found)
    names: List[str] = []
    for weight in weights:
        name = f"{holders[id(weight)]}/{last_name(weight)}"
        names.append(f"{name}#{len(names)}" if name in names else name)
    return names


def _columns_of(model: Any) -> Dict[int, Set[str]]:
    """Returns the columns and domains of Merlin Models' embedding tables, by `id` of the weight."""
    columns: Dict[int, Set[str]] = {}
    for layer in model._flatten_layers():  # noqa: SLF001
        if hasattr(layer, "table") and hasattr(layer, "features"):
            schema = layer.schema
            domains = (column.properties.get("domain") or {} for column in schema)
            found = {*schema.column_names, *(domain.get("name", "") for domain in domains)}
            for weight in layer.weights:
                columns.setdefault(id(weight), set()).update(found - {""})
    return columns


def _check_pairs(new: List[str], old: List[str]) -> None:
    """Raises an error if the names of the weights differ, apart from the numbers of layers."""
    numbered = re.compile(r"_\d+(?=/)|#\d+$")  # Keras numbers the layers of all models
    pairs = zip(*([numbered.sub("", name) for name in names] for names in (new, old)))
    differing = [pair for pair in pairs if pair[0] != pair[1]]
    if differing or len(new) != len(old) or not new:
        adapted = any(re.search(r"/lora_|_scale$", name) for name in (*new, *old))
        received = f"{differing[0]}" if differing else f"{len(new)} weights, and {len(old)}"
        raise PopSamplerError(
            f"Expected two models with the same weights in the same order. Received: {received}. "
            f"{_LORA if adapted else ''}Make both in the same way, and call each on a batch first."
        )


def _check_keys(id_maps: Dict[str, Any], names: List[str], columns: Dict[int, Set[str]]) -> None:
    layers = {name.split("/")[0] for name in names}
    known = {"", *names, *layers, *(name for found in columns.values() for name in found)}
    unknown = sorted(set(id_maps) - known)
    if unknown:
        raise PopSamplerError(
            "Expected names of layers that have weights, or columns of embedding tables. Received: "
            f"{unknown}. Pass one of {sorted(layers)[:20]}."
        )


def _check_move(move: Move, id_maps: Dict[str, Any]) -> None:
    if move.source is None:
        return
    if move.target is move.source:
        raise PopSamplerError(
            f"Weight {move.name!r}: expected two models that share no variables. Received: one "
            "variable in both. Build the new model separately."
        )
    _check_whole(move)
    if move.id_map is None:
        check_same_shape(move.name, move.shapes(), id_maps)
        return
    check_rows(move.name, move.shapes(), move.id_map)
    if not tf.as_dtype(move.target.dtype).is_floating:
        raise PopSamplerError(
            f"Table {move.name!r}: expected rows of floating-point numbers. Received: "
            f"{tf.as_dtype(move.target.dtype).name}, which no mean or initializer gives to new "
            "items. Make the table from the new data, and pass None for it. Where quantize() made "
            "it, warm start the model before that."
        )


def _check_whole(move: Move) -> None:
    """Raises an error for a variable that is one of several parts of a table."""
    for variable in (move.target, move.source):
        if re.search(r"part_\d+(?::|$)", variable.name) or hasattr(variable, "layout"):
            raise PopSamplerError(
                f"Weight {move.name!r}: expected a variable that holds all of its values. "
                f"Received: {variable.name}, a part of one. Make both models without a partitioner "
                "or layout, warm start, and save what a strategy loads."
            )
