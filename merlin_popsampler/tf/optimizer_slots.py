"""The state of a Keras optimizer, moved with the rows of the tables that it belongs to."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

import tensorflow as tf

from merlin_popsampler.errors import PopSamplerError

from .row_moves import Move


@dataclass(frozen=True)
class Slot:
    """One variable of the new optimizer, and what it gets.

    Args:
      name: of the slot.
      target: the new optimizer's variable.
      source: the old one's.
      move: of the weight that it belongs to; None for a number of the whole optimizer.
      first: what a row begins with.
    """

    name: str
    target: Any
    source: Any
    move: Optional[Move] = None
    first: float = 0.0

    def write(self) -> None:
        """Gives the new optimizer what the old one had."""
        if self.move is None:
            self.target.assign(self.source.numpy())
        else:
            self.target.assign(self.move.values(self.target, self.source, self.first))


def moved_slots(moves: List[Move], new: Any, optimizer: Any, old_optimizer: Any) -> List[Slot]:
    """What each variable of the new optimizer gets; learning rates stay.

    An old optimizer that has made no step has no slots, and nothing moves.

    Args:
      moves: of the weights that follow those of the old model.
      new: the new model, for whose weights the new optimizer makes its slots if it has none.
      optimizer: the new model's, or None.
      old_optimizer: the old model's, or None.

    Raises:
      PopSamplerError: one optimizer alone, optimizers of different classes or of other libraries,
        averages of weights, or slots of an unknown shape.
    """
    if (optimizer is None) != (old_optimizer is None):
        raise PopSamplerError(
            "Expected optimizer and old_optimizer together. Received: one of them. Pass both, or "
            "neither to begin with an optimizer that has no state."
        )
    if optimizer is None:
        return []
    optimizer, old_optimizer = (_inner(each) for each in (optimizer, old_optimizer))
    _check_optimizers(optimizer, old_optimizer)
    before = [_slots_of(old_optimizer, move.source) for move in moves]
    for move, sources in zip(moves, before):
        _check_shapes(move, sources)
    if not any(before):
        return []
    _make_slots(optimizer, new.trainable_variables)
    slots = [Slot("iterations", optimizer.iterations, old_optimizer.iterations)]
    for move, sources in zip(moves, before):
        targets = _slots_of(optimizer, move.target)
        if targets.keys() != sources.keys():
            raise _different(f"slots {sorted(targets)}", f"slots {sorted(sources)}")
        slots += [
            Slot(name, targets[name], source, move, _first(optimizer, name))
            for name, source in sources.items()
        ]
    return slots


def _check_shapes(move: Move, slots: Dict[str, Any]) -> None:
    for name, slot in slots.items():
        if tuple(slot.shape) != tuple(move.source.shape):
            raise PopSamplerError(
                f"Weight {move.name!r}: expected optimizer slots of its own shape "
                f"{tuple(move.source.shape)}. Received: {name!r} of shape {tuple(slot.shape)}. "
                "Leave optimizer and old_optimizer out, or begin with an optimizer such as "
                "Adam, Adagrad or SGD."
            )


def _inner(optimizer: Any) -> Any:
    """The optimizer that holds the slots, where another one scales its losses."""
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer


def _is_legacy(optimizer: Any) -> bool:
    return hasattr(optimizer, "get_slot_names")


def _check_optimizers(new: Any, old: Any) -> None:
    names = [f"{type(each).__module__}.{type(each).__name__}" for each in (new, old)]
    if names[0] != names[1]:
        raise _different(*names)
    several = hasattr(new, "optimizers_and_blocks")  # of Merlin Models
    known = isinstance(new, tf.keras.optimizers.Optimizer) or _is_legacy(new)
    if several or not known or getattr(new, "use_ema", False) or getattr(old, "use_ema", False):
        raise PopSamplerError(
            f"Expected one optimizer of Keras, without averages of weights. Received: {names[0]}. "
            "Leave optimizer and old_optimizer out, and begin with an optimizer that has no state."
        )


def _index(optimizer: Any) -> Any:
    """Place of each variable in the lists of slots of Keras's newer optimizers; none before use."""
    for name in ("_index_dict", "_trainable_variables_indices"):  # of Keras 2, of Keras 3
        if hasattr(optimizer, name):
            return getattr(optimizer, name)
    return {}


def _slots_of(optimizer: Any, variable: Any) -> Dict[str, Any]:
    """Slots of a weight by name; none where the optimizer has not met it."""
    if _is_legacy(optimizer):
        own = {}
        for name in optimizer.get_slot_names():
            with suppress(KeyError):
                own[name] = optimizer.get_slot(variable, name)
        return own
    index = _index(optimizer)
    position = index.get(optimizer._var_key(variable))  # noqa: SLF001
    if position is None:
        return {}
    return {
        name.strip("_"): values[position]
        for name, values in vars(optimizer).items()
        if isinstance(values, (list, tuple)) and _are_slots(name, values, len(index))
    }


def _are_slots(name: str, values: Any, length: int) -> bool:
    passed = ("_trainable_variables", "_variables", "_self_unconditional_checkpoint_dependencies")
    return name not in passed and len(values) == length


def _make_slots(optimizer: Any, variables: List[Any]) -> None:
    """Makes the slots of an optimizer that has made no step yet."""
    if _is_legacy(optimizer):
        with tf.init_scope():
            optimizer._create_all_weights(variables)  # noqa: SLF001 - as its first step does
    elif not _index(optimizer):
        optimizer.build(variables)


def _first(optimizer: Any, slot: str) -> float:
    """What a row of a slot begins with: Adagrad and Ftrl begin above 0."""
    names = ("initial_accumulator_value", "_initial_accumulator_value")
    values = [getattr(optimizer, name) for name in names if hasattr(optimizer, name)]
    return float(values[0]) if values and slot.startswith("accumulator") else 0.0


def _different(new: str, old: str) -> PopSamplerError:
    error: PopSamplerError = PopSamplerError(
        f"Expected two optimizers of one class with the same slots. Received: {new} now, {old} "
        "before. Make both in the same way, or leave both out."
    )
    return error
