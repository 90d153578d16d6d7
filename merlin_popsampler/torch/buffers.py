"""Constants of a module that go where it goes, and stay what they are."""

from typing import Any

import numpy as np
import torch

_INTEGERS = {8: np.int64, 4: np.int32}


def keep(module: torch.nn.Module, name: str, numbers: Any) -> None:
    """Makes numbers a buffer of a module, floats by their bits; `floats` reads those.

    `half()` and mixed precision cast floating buffers and leave integers alone. They are no part of
    `state_dict`, since they follow from the arguments.

    Args:
      module: the owner.
      name: of its attribute.
      numbers: NumPy array, int64, float64 or float32.
    """
    if numbers.dtype.kind == "f":
        numbers = numbers.view(_INTEGERS[numbers.itemsize])
    module.register_buffer(name, torch.tensor(numbers), persistent=False)


def floats(bits: torch.Tensor) -> torch.Tensor:
    """The floats of a buffer of `keep`: float64 of int64, float32 of int32."""
    return bits.view(torch.float64 if bits.dtype == torch.int64 else torch.float32)
