"""Holds tensors that follow from a module's arguments, and are not part of its state."""

from typing import Any, Callable, Dict

import torch


class Constants(torch.nn.Module):  # type: ignore[misc]
    """Rebuilds its tensors from NumPy arrays on each device that it moves to.

    The tensors are plain attributes, not buffers. So operations on all buffers do not change them,
    such as `to_empty`, averages of weights, casts and broadcasts.

    Attributes:
      arrays: NumPy arrays by the name of their tensor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.arrays: Dict[str, Any] = {}

    def keep(self, name: str, array: Any) -> None:
        """Adds an array as a tensor of this module, with the dtype of the array.

        Args:
          name: name of the attribute.
          array: NumPy array.
        """
        self.arrays[name] = array
        setattr(self, name, _tensor(array, torch.empty(0).device))

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> "Constants":
        super()._apply(fn, recurse)
        for name, array in self.arrays.items():
            now = getattr(self, name).device
            # Applied to a temporary tensor, since the function may change its argument.
            device = fn(torch.zeros(1, dtype=torch.int64, device=now)).device
            if device != now:
                setattr(self, name, _tensor(array, device))
        return self


def _tensor(array: Any, device: torch.device) -> torch.Tensor:
    with torch.inference_mode(False):  # else the tensor would be unusable outside of that mode
        return torch.tensor(array, device=device)
