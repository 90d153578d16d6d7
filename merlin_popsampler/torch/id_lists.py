"""Represents a list of ids for each row of a batch, from a dense, padded or nested tensor."""

import math
from typing import Any, List, NamedTuple, Sequence, Tuple

import torch

from merlin_popsampler.errors import PopSamplerError

from .ids import as_ids


class IdLists(NamedTuple):
    """Holds a list of ids for each row, concatenated.

    Attributes:
      ids: int64 `[m]`.
      rows: int64 `[m]`, the row of each id.
    """

    ids: torch.Tensor
    rows: torch.Tensor


def as_id_lists(name: str, given: Any, leading: Sequence[int], device: torch.device) -> IdLists:
    """Converts lists of ids in the forms that callers may pass to `IdLists`.

    Args:
      name: name of the argument, for the message.
      given: integers `[*leading, n]`, where a leading dimension of 1 is repeated; or `[rows, n]`;
        or a nested tensor (`layout=torch.jagged`) of `rows` lists. `IdLists` are returned as they
        are.
      leading: the dimensions of the queries before their width; `rows` is their product.
      device: device of the result.

    Raises:
      PopSamplerError: the ids are not integers, or have another shape.
    """
    if isinstance(given, IdLists):
        return given
    ids = as_ids(given, device, name)
    rows, found = math.prod(leading), () if ids.is_nested else tuple(ids.shape[:-1])
    fits = len(found) == len(leading) and all(a in (1, b) for a, b in zip(found, leading))
    if ids.is_nested:
        fits = ids.dim() == 2 and ids.layout == torch.jagged and len(ids) == rows
    if not (fits or found == (rows,)):
        raise PopSamplerError(
            f"Expected {name} {[*leading, 'n']}, where a dimension before n may be 1, or "
            f"{rows} lists, one for each query, dense or nested (layout=torch.jagged). Received: "
            f"{type(given).__name__} of shape {_shape(ids)}. Where queries share a list, "
            f"insert a dimension of 1: {name}[:, None] for one list a session. Nested lists cannot "
            "be shared: pass one for each query."
        )
    if not (ids.is_nested or found == (rows,)):
        ids = ids.expand(*leading, ids.shape[-1]).reshape(rows, ids.shape[-1])
    return IdLists(*_flat(ids))


def join(*lists: Any) -> Any:
    """Concatenates several `IdLists`, of which some may be None; None if all are."""
    given = [each for each in lists if each is not None]
    if len(given) <= 1:
        return given[0] if given else None
    return IdLists(*(torch.cat(parts) for parts in zip(*given)))


def among(lists: IdLists, ids: torch.Tensor, rows: int) -> torch.Tensor:
    """Tests for each row which ids are in its list, bool `[rows, len(ids)]`.

    Each listed id is looked up among the sorted ids, since a comparison of all pairs would take
    memory for rows x listed x ids.

    Args:
      lists: a list of ids for each row.
      ids: int64 `[n]`, the same ids for all rows.
      rows: number of rows.
    """
    ordered = ids.sort().values
    width = len(ordered)
    index = torch.searchsorted(ordered, lists.ids.contiguous()).clamp(max=width - 1)
    found = (ordered[index] == lists.ids).to(torch.int32)
    marked = found.new_zeros(rows * width).index_add(0, lists.rows * width + index, found)
    # Repeats of an id share the index of the first.
    return marked.view(rows, width)[:, torch.searchsorted(ordered, ids)] > 0


def first_in_row(lists: IdLists, cardinality: int) -> torch.Tensor:
    """Tests for each id whether it is its first occurrence in the list of its row, bool `[m]`.

    Args:
      lists: ids from 0 to `cardinality - 1`. The result for other ids is undefined.
      cardinality: exclusive limit of the ids.
    """
    inside = (lists.ids >= 0) & (lists.ids < cardinality)
    keys = torch.where(inside, lists.rows * cardinality + lists.ids, -1)
    ordered, order = keys.sort(stable=True)
    is_first = torch.cat([ordered.new_ones(1) > 0, ordered[1:] != ordered[:-1]])[: len(ordered)]
    return is_first.index_copy(0, order, is_first)


def _shape(ids: torch.Tensor) -> List[Any]:
    """Formats the shape for a message; strided nested tensors have none."""
    if ids.is_nested and ids.layout != torch.jagged:
        return [ids.size(0), "strided"]
    return list(ids.shape)


def _flat(ids: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """Returns the ids of a matrix, dense or nested, as one vector, and the row of each id."""
    if ids.is_nested:
        ids = ids.contiguous()  # a narrowed nested tensor has unused values between the rows
        values, lengths = ids.values(), ids.offsets().diff()
        rows = torch.arange(len(lengths), device=values.device)
        return values, rows.repeat_interleave(lengths, output_size=len(values))
    rows = torch.arange(len(ids), device=ids.device)[:, None].expand(ids.shape)
    return ids.reshape(-1), rows.reshape(-1)
