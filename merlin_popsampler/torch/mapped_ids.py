"""Maps item ids that are not in frequency order to ranks on the device; see `core.MappedIds`."""

from __future__ import annotations

from typing import Any, Callable

import torch

from merlin_popsampler.core.domain import MappedIds
from merlin_popsampler.errors import PopSamplerError


class MappedIdsOnDevice(torch.nn.Module):  # type: ignore[misc]
    """Maps ids to ranks and back, on the device of the module.

    The two tables are plain tensors, not buffers, so that averages of weights do not change them
    and `to_empty` does not erase them. `state_dict` contains the ids as extra state.

    Args:
      items: the ids in the order of their ranks, as NumPy arrays.
    """

    def __init__(self, items: MappedIds) -> None:
        super().__init__()
        self.min_id, self.max_id = items.min_id, items.max_id
        self.size, self.cardinality = items.size, items.cardinality
        self._ids = torch.from_numpy(items.ids)
        self._ranks = torch.from_numpy(items.ranks)

    def contains(self, ids: torch.Tensor) -> torch.Tensor:
        """Tests whether ids stand for an item, bool of their shape."""
        return self.rank(ids) >= 0

    def rank(self, ids: torch.Tensor) -> torch.Tensor:
        """Maps ids to ranks, int64 of their shape; -1 for ids that are not items."""
        inside = (ids >= 0) & (ids < self.cardinality)
        ranks = _looked_up(self._ranks, torch.where(inside, ids, 0))
        return torch.where(inside, ranks, -1)

    def id(self, ranks: torch.Tensor) -> torch.Tensor:
        """Maps ranks to ids, int64 of their shape."""
        return _looked_up(self._ids, ranks)

    def get_extra_state(self) -> torch.Tensor:
        """Returns the id of each rank."""
        return self._ids

    def set_extra_state(self, state: Any) -> None:
        """Checks that a saved sampler drew from the same items in the same order.

        The tables are not loaded, since the constructor builds them, like the distribution, from
        the counts.

        Args:
          state: the result of `get_extra_state`.

        Raises:
          PopSamplerError: the state has other ids or another order.
        """
        same = isinstance(state, torch.Tensor) and state.shape == self._ids.shape
        if same and not state.is_meta:
            same = bool((state.to(self._ids.device) == self._ids).all())
        if not same:
            raise PopSamplerError(
                f"Expected the state of a sampler over the same {self.size} items in the same "
                f"order of popularity. Received: {_said(state)}. Build the sampler from the counts "
                "of the saved run; to go on with new counts, use warm_start(model, state, {})."
            )

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> MappedIdsOnDevice:
        super()._apply(fn, recurse)
        device = fn(torch.zeros(1, dtype=torch.int64, device=self._ids.device)).device
        if device.type != "meta":  # the tables stay until the module moves to a real device
            self._ids, self._ranks = self._ids.to(device), self._ranks.to(device)
        return self


def _looked_up(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Returns the entries as int64, of the shape and on the device of the index."""
    if index.is_meta:  # the tables are not moved there, and PyTorch would return unset memory
        return torch.empty_like(index, dtype=torch.int64)
    return table[index].to(torch.int64)


def _said(state: Any) -> str:
    if not isinstance(state, torch.Tensor):
        return type(state).__name__
    return f"{tuple(state.shape)} ids, or another order"
