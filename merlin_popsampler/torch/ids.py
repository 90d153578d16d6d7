"""Ids as callers pass them: tensors, numbers, lists, arrays."""

from typing import Any

import torch

from merlin_popsampler.errors import PopSamplerError


def ids_of(ids: Any, device: torch.device) -> torch.Tensor:
    """Ids as an int64 tensor on a device.

    Raises:
      PopSamplerError: no integers.
    """
    try:
        tensor = torch.as_tensor(ids, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PopSamplerError(
            f"Expected a tensor of ids. Received: {type(ids).__name__} ({error}). "
            "Pass integers of one type and shape."
        ) from None
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise PopSamplerError(
            f"Expected integer ids. Received: {tensor.dtype}. Cast whole numbers to int64, and "
            "encode words."
        )
    return tensor.to(torch.int64)
