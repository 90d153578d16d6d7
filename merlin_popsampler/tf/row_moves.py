"""Rows of Keras's variables, moved from the ids of one fit to those of another."""

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from merlin_popsampler.core.id_map import AS_INITIALIZED, IdMap
from merlin_popsampler.errors import PopSamplerError


@dataclass(frozen=True)
class Move:
    """What becomes of one weight.

    Args:
      name: of the weight.
      target: the new model's variable.
      source: the old model's; None where the new model keeps its own.
      id_map: where each row goes; None for a weight that is copied as it is.
    """

    name: str
    target: Any
    source: Any = None
    id_map: Optional[IdMap] = None

    def shapes(self) -> Any:
        """Shapes of the old weight and the new one, ids first where it is a table."""
        shapes = tuple(tuple(each.shape) for each in (self.source, self.target))
        return tuple(shape[::-1] for shape in shapes) if self._by_column else shapes

    def values(self, target: Any, source: Any, rows: Any) -> Any:
        """The new values of the weight, or of an optimizer's slot of it.

        Args:
          target: variable of the new model.
          source: that of the old model.
          rows: of the ids that are new; None leaves these as they are.
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
        """Mean of the old rows of ids."""
        return self._rows_of(self.source.numpy())[ids].mean(0, dtype=np.float64)

    @property
    def _by_column(self) -> bool:
        """Whether ids are columns: those of the kernel of a layer that scores all of them."""
        last = self.target.name.split("/")[-1].split(":")[0]
        return self.id_map is not None and last == "kernel" and len(self.target.shape) == 2

    def _rows_of(self, values: Any) -> Any:
        return values.T if self._by_column else values


def new_rows(move: Move, new_items: Any) -> Any:
    """What the rows of new ids begin with: a row or more; None where they stay as they are.

    Args:
      move: of any weight.
      new_items: see `warm_start`.

    Raises:
      PopSamplerError: an initializer that gives another shape, or no rows to take a mean of.
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
