"""Converts ids to int64 tensors: from tensors, numbers, lists and arrays."""

from typing import Any

import torch

from merlin_popsampler.errors import PopSamplerError

_SPARSE = (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)


def as_ids(ids: Any, device: torch.device, name: str = "") -> torch.Tensor:
    """Converts ids to an int64 tensor on a device.

    Args:
      ids: integers as a tensor, a number, a list or an array.
      device: device of the result, which is that of the module.
      name: name of the argument, for messages, if a call has several arguments with ids.

    Raises:
      PopSamplerError: the ids are not integers; or the module is on the meta device, and they
        are not.
    """
    if device.type == "meta" and not (isinstance(ids, torch.Tensor) and ids.is_meta):
        where = repr(ids.device.type) if isinstance(ids, torch.Tensor) else "the host"
        raise PopSamplerError(
            "Expected a sampler on a device with memory. Received: one on 'meta', and ids on "
            f"{where}. Call to_empty(device=...) on the model, then load_state_dict()."
        )
    try:
        tensor = torch.as_tensor(ids, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PopSamplerError(
            f"Expected a tensor of ids{_as(name)}. Received: {type(ids).__name__} ({error}). "
            "Pass integers of one type and shape."
        ) from None
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise PopSamplerError(
            f"Expected integer ids{_as(name)}. Received: {tensor.dtype}. Cast whole "
            "numbers to int64, and encode strings."
        )
    return tensor.to(torch.int64)


def as_dense_ids(ids: Any, device: torch.device, name: str = "") -> torch.Tensor:
    """Converts ids that must be a plain tensor; see `as_ids`.

    Raises:
      PopSamplerError: see `as_ids`; or the ids are a nested or sparse tensor or a DTensor.
    """
    return as_ids(dense(name or "ids", ids), device, name)


def _as(name: str) -> str:
    return f" as {name}" if name else ""


def dense(name: str, tensor: Any) -> Any:
    """Returns its argument, unless it is a nested, sparse or distributed tensor.

    Args:
      name: name of the argument, for the message.
      tensor: any object.

    Raises:
      PopSamplerError: the object is a nested or sparse tensor, or a DTensor.
    """
    nested = isinstance(tensor, torch.Tensor) and tensor.is_nested
    if isinstance(tensor, torch.Tensor) and tensor.layout in _SPARSE:
        raise PopSamplerError(
            f"Expected {name} as a plain tensor. Received: a sparse tensor. Pass to_dense() of it. "
            "If it holds ids, its padding 0 must not stand for an item."
        )
    # The compilers of PyTorch 2.4 and 2.5 do not support hasattr of a tensor.
    if nested or (not torch.compiler.is_compiling() and hasattr(tensor, "full_tensor")):
        raise PopSamplerError(
            f"Expected {name} as a plain tensor. Received: "
            f"{'a nested tensor' if nested else type(tensor).__name__}. Pass values() of a nested "
            "tensor, full_tensor() or to_local() of a DTensor."
        )
    return tensor
