"""Moves the state of a Keras optimizer along with the rows of the tables that it belongs to."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

import tensorflow as tf

from merlin_popsampler.errors import PopSamplerError

from .row_moves import Move

_NUMBERS = ("_u_product", "_m_cache")
"""Attributes of Nadam that hold a number, which each step multiplies; names by version of Keras."""


@dataclass(frozen=True)
class Slot:
    """Describes how a variable of the new optimizer gets its value.

    Args:
      name: name of the slot.
      target: variable of the new optimizer.
      source: variable of the old optimizer.
      move: move of the weight that the slot belongs to; None for a number of the whole optimizer.
      first: initial value of the rows of new items.
    """

    name: str
    target: Any
    source: Any
    move: Optional[Move] = None
    first: float = 0.0

    def write(self) -> None:
        """Copies the old variable to the new one, with moved rows if its weight is a table."""
        if self.move is None:
            self.target.assign(self.source.numpy())
        else:
            self.target.assign(self.move.values(self.target, self.source, self.first))


def moved_slots(moves: List[Move], new: Any, optimizer: Any, old_optimizer: Any) -> List[Slot]:
    """Lists the variables of the new optimizer to be written; learning rates are not among them.

    The list is empty without optimizers, or if the old optimizer has made no step.

    Args:
      moves: moves of the weights that get values from the old model.
      new: the new model. If its optimizer has no slots yet, they are created for its weights.
      optimizer: optimizer of the new model, or None.
      old_optimizer: optimizer of the old model, or None.

    Raises:
      PopSamplerError: only one optimizer is passed; the optimizers differ in class or slots, are
        not of Keras, or average weights (`use_ema`); or a slot has another shape than its weight.
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
    slots = [Slot("iterations", _iterations(optimizer), _iterations(old_optimizer))]
    slots += [
        Slot(name, getattr(optimizer, name), getattr(old_optimizer, name))
        for name in _NUMBERS
        if getattr(old_optimizer, name, None) is not None
    ]
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
                "Leave optimizer and old_optimizer out: only the state of optimizers such as Adam, "
                "Adagrad or SGD can be moved."
            )


def _inner(optimizer: Any) -> Any:
    """Returns the optimizer inside a `LossScaleOptimizer`, which has the slots."""
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer


def _iterations(optimizer: Any) -> Any:
    """Returns the variable that counts steps.

    With `gradient_accumulation_steps`, the attribute `iterations` is a quotient of it.
    """
    found = optimizer.iterations
    return found if hasattr(found, "assign") else optimizer._iterations  # noqa: SLF001


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
    """Returns the position of each variable in the lists of slots, {} before the first step.

    Only the optimizers of Keras 2.11 and later have such lists.
    """
    for name in ("_index_dict", "_trainable_variables_indices"):  # of Keras 2, of Keras 3
        if hasattr(optimizer, name):
            return getattr(optimizer, name)
    return {}


def _slots_of(optimizer: Any, variable: Any) -> Dict[str, Any]:
    """Returns the slots of a weight by name; {} if the optimizer has none for it."""
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
        if isinstance(values, (list, tuple))
        and _are_slots(name, values, len(index))
        and values[position] is not None  # Muon has slots for some weights only
    }


def _are_slots(name: str, values: Any, length: int) -> bool:
    passed = ("_trainable_variables", "_variables", "_self_unconditional_checkpoint_dependencies")
    return name not in passed and len(values) == length


def _make_slots(optimizer: Any, variables: List[Any]) -> None:
    """Creates the slots of an optimizer that has made no step yet."""
    if _is_legacy(optimizer):
        with tf.init_scope():
            optimizer._create_all_weights(variables)  # noqa: SLF001 - as its first step does
    elif not _index(optimizer):
        optimizer.build(variables)


def _first(optimizer: Any, slot: str) -> float:
    """Returns the initial value of a slot, which is above 0 for Adagrad and Ftrl."""
    names = ("initial_accumulator_value", "_initial_accumulator_value")
    values = [getattr(optimizer, name) for name in names if hasattr(optimizer, name)]
    return float(values[0]) if values and slot.startswith("accumulator") else 0.0


def _different(new: str, old: str) -> PopSamplerError:
    error: PopSamplerError = PopSamplerError(
        f"Expected two optimizers of one class with the same slots. Received: {new} now, {old} "
        "before. Make both in the same way, or leave both out."
    )
    return error
