"""The vectors of items, from a module that looks them up or from a tensor that holds them."""

from functools import partial
from typing import Any, Optional

import torch
from torch.nn import functional

from merlin_popsampler.errors import PopSamplerError

from .ids import dense

_NOT_TABLES = (torch.nn.EmbeddingBag, torch.nn.Linear)
"""Modules that have a weight like a table's, and do not map an id to a vector."""


def checked_table(table: Any, cardinality: int) -> Any:
    """The table itself, a module or a tensor, if it has enough rows as far as it says.

    Args:
      table: what `SampledSoftmaxLoss` takes as `item_table`.
      cardinality: rows that it must have.

    Raises:
      PopSamplerError: something else, or too few rows.
    """
    rows = _rows(dense("item_table", table))
    fits = isinstance(table, torch.nn.Module) and not isinstance(table, _NOT_TABLES)
    fits = fits or (isinstance(table, torch.Tensor) and table.ndim == 2)
    if not fits or (rows is not None and rows < cardinality):
        raise PopSamplerError(
            f"Expected item vectors [rows, dim] with at least {cardinality} rows, max_id + 1. "
            f"Received: {type(table).__name__}"
            f"{'' if rows is None else f' of {rows} rows'}. "
            "Pass the Embedding of the items, made with num_embeddings=max_id + 1."
        )
    return table


def look_up(table: Any, ids: torch.Tensor) -> torch.Tensor:
    """Vectors `[n, dim]` of ids `[n]`: by the module itself where there is one.

    Raises:
      PopSamplerError: a module that gives something else, or whose weight is a DTensor where it is
        called.
    """
    if isinstance(table, torch.Tensor):
        return functional.embedding(ids, table)
    try:
        vectors = dense("the vectors of item_table", table(ids))
    except RuntimeError as error:
        # Hooks may gather it (FSDP2, tensor parallel), so that its kind alone says nothing.
        if not any(hasattr(parameter, "full_tensor") for parameter in table.parameters()):
            raise
        raise PopSamplerError(
            f"Expected {type(table).__name__} to take plain ids. Received: parameters that are "
            f"DTensors where the loss is called ({error}). Call fully_shard on the table itself, "
            "or pass its weight.full_tensor()."
        ) from error
    fits = isinstance(vectors, torch.Tensor) and vectors.is_floating_point()
    if not fits or vectors.ndim != 2 or len(vectors) != len(ids):
        received = list(vectors.shape) if fits else type(vectors).__name__
        raise PopSamplerError(
            f"Expected {type(table).__name__} to map int64 ids [{len(ids)}] to vectors "
            f"[{len(ids)}, dim]. Received: {received}. Wrap it in a module whose forward does."
        )
    return vectors


def catalog_vectors(table: Any) -> Any:
    """The vectors of all items: a tensor to read in slices, or else a function of ids.

    Only a plain Embedding's vectors are surely its weight. Any other module is called.

    Args:
      table: what `checked_table` returned.
    """
    if isinstance(table, torch.Tensor):
        return table
    changed = ("_forward_hooks", "_forward_pre_hooks", "forward")  # what may replace the result
    plain = (
        type(table) is torch.nn.Embedding
        and type(table.weight) is torch.nn.Parameter
        and table.max_norm is None
        and not any(vars(table).get(name) for name in changed)
    )
    return table.weight if plain else partial(look_up, table)


def _rows(table: Any) -> Optional[int]:
    """The number of rows that a table says it has; None where it does not say."""
    if isinstance(table, torch.Tensor):
        return len(table) if table.ndim else 0
    rows = getattr(table, "num_embeddings", None)
    return rows if isinstance(rows, int) else None
