"""Looks up the vectors of items in a module or a tensor."""

from functools import partial
from typing import Any, Optional

import torch
from torch.nn import functional

from merlin_popsampler.contract.negatives import width_error
from merlin_popsampler.errors import PopSamplerError

from .ids import dense

_NOT_TABLES = (torch.nn.EmbeddingBag, torch.nn.Linear)
"""Modules with a weight like that of a table, which do not map an id to a vector."""


def checked_table(table: Any, cardinality: int) -> Any:
    """Returns an item table after checking its type, and its number of rows if it is known.

    Args:
      table: see `item_table` of `SampledSoftmaxLoss`.
      cardinality: minimum number of rows.

    Raises:
      PopSamplerError: the table has another type or too few rows.
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
    """Looks up the vectors of ids, `[n, dim]`; a module is called.

    Args:
      table: the result of `checked_table`.
      ids: int64 `[n]`.

    Raises:
      PopSamplerError: the module returns another shape, or its weight is a DTensor when it is
        called.
    """
    if isinstance(table, torch.Tensor):
        return functional.embedding(ids, table)
    try:
        vectors = dense("the vectors of item_table", table(ids))
    except RuntimeError as error:
        # Hooks may gather the weight (FSDP2, tensor parallel), so its type alone does not tell.
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
            f"[{len(ids)}, dim]. Received: {received}. Wrap it in a module that does."
        )
    return vectors


def check_width(queries: torch.Tensor, vectors: torch.Tensor) -> None:
    """Checks that queries and item vectors have as many components.

    Args:
      queries: `[rows, dim]`.
      vectors: `[n, dim]`, from `look_up` or `catalog_vectors`.

    Raises:
      PopSamplerError: they have not.
    """
    if queries.shape[-1] != vectors.shape[-1]:
        raise width_error(queries.shape[-1], vectors.shape[-1])


def catalog_vectors(table: Any) -> Any:
    """Returns the vectors of all items, as a tensor to be sliced or as a function of ids.

    Only the vectors of a plain Embedding are certainly its weight. Any other module is called.

    Args:
      table: the result of `checked_table`.
    """
    if isinstance(table, torch.Tensor):
        return table
    changed = ("_forward_hooks", "_forward_pre_hooks", "forward")  # these may replace the result
    plain = (
        type(table) is torch.nn.Embedding
        and type(table.weight) is torch.nn.Parameter
        and table.max_norm is None
        and not any(table.__dict__.get(name) for name in changed)
    )
    return table.weight if plain else partial(look_up, table)


def _rows(table: Any) -> Optional[int]:
    """Returns the number of rows of a table; None if a module does not state it."""
    if isinstance(table, torch.Tensor):
        return len(table) if table.ndim else 0
    rows = getattr(table, "num_embeddings", None)
    return rows if isinstance(rows, int) else None
