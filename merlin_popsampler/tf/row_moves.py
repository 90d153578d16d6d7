"""Moves rows of Keras variables from the ids of an earlier fit to those of a later fit."""

from dataclasses import dataclass
from typing import Any, Optional, Sequence, Set

import numpy as np

from merlin_popsampler.core.id_map import AS_INITIALIZED, IdMap
from merlin_popsampler.errors import PopSamplerError

_BY_COLUMN = ("kernel", "lora_kernel_b", "reverse_embeddings")
"""Names of weights with a column for each id: of Dense, and of an untied `ReversibleEmbedding`."""
_WITHOUT_IDS = ("lora_embeddings_b", "lora_kernel_a")
"""Names of the factors of LoRA that have no row for an id; the other factor has one."""


def last_name(variable: Any) -> str:
    """Returns the name of a variable without those of layers, such as "kernel"."""
    name: str = variable.name.split("/")[-1].split(":")[0]
    return name


def weights_without_ids(layers: Sequence[Any]) -> Set[int]:
    """Returns the `id` of each weight that has no ids even if its layer has: factors of LoRA."""
    adapted = [layer for layer in layers if getattr(layer, "lora_enabled", False)]
    weights = [weight for layer in adapted for weight in layer.weights]
    return {id(weight) for weight in weights if last_name(weight) in _WITHOUT_IDS}


@dataclass(frozen=True)
class Move:
    """Describes how a weight of the new model gets its values.

    Args:
      name: name of the weight, for messages and reports.
      target: variable of the new model.
      source: variable of the old model; None if the target stays unchanged.
      id_map: map from old to new rows; None if the weight is copied unchanged.
    """

    name: str
    target: Any
    source: Any = None
    id_map: Optional[IdMap] = None

    def shapes(self) -> Any:
        """Returns the shapes of the old and the new weight; for a table, ids come first."""
        shapes = tuple(tuple(each.shape) for each in (self.source, self.target))
        return tuple(shape[::-1] for shape in shapes) if self._by_column else shapes

    def values(self, target: Any, source: Any, rows: Any) -> Any:
        """Computes the new values of the weight, or of one of its optimizer slots.

        Args:
          target: variable of the new model or optimizer.
          source: variable of the old model or optimizer.
          rows: values for the rows of new ids; None leaves them unchanged.

        Returns:
          An array of the target's shape.
        """
        if self.id_map is None:
            return source.numpy()
        now, before = self._rows_of(np.array(target.numpy())), self._rows_of(source.numpy())
        kept = self.id_map.kept_ids
        now[kept] = before[self.id_map.old_ids[kept]]
        if rows is not None:
            now[self.id_map.added_ids] = rows
        return self._rows_of(now)

    def mean(self, ids: Any) -> Any:
        """Returns the mean of the rows of some old ids, float64."""
        return self._rows_of(self.source.numpy())[ids].mean(0, dtype=np.float64)

    @property
    def _by_column(self) -> bool:
        """Whether ids are columns, as in the kernel of a Dense layer that scores all items."""
        named = last_name(self.target) in _BY_COLUMN
        return self.id_map is not None and named and len(self.target.shape) == 2

    def _rows_of(self, values: Any) -> Any:
        return values.T if self._by_column else values


def new_rows(move: Move, new_items: Any) -> Any:
    """Computes the initial rows of new ids.

    Args:
      move: the move of a weight.
      new_items: see `warm_start`.

    Returns:
      One row for all new ids, a row for each, or None if they stay as initialized or there are
      none.

    Raises:
      PopSamplerError: an initializer returns another shape, or there are no rows of which
        `new_items` takes the mean.
    """
    id_map = move.id_map
    if id_map is None or new_items == AS_INITIALIZED or not id_map.moved.added:
        return None
    if not callable(new_items):
        return move.mean(id_map.averaged(new_items))
    shape = (id_map.moved.added, *move.shapes()[1][1:])
    rows = np.asarray(new_items(shape, dtype=move.target.dtype))
    if rows.shape != shape:
        raise PopSamplerError(
            f"Table {move.name!r}: expected an initializer to give shape {shape}. Received: "
            f"{rows.shape}. Pass an initializer of Keras, such as RandomUniform()."
        )
    return rows
