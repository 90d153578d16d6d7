"""Negatives that a caller names for each row: in the row's sum with certainty, at a count of 1."""

from typing import Any, NamedTuple

import torch

from merlin_popsampler.core.scores import MASKED

from .id_lists import IdLists, first_in_row, join
from .logits import clip_finite, scale_by_temperature


class HardNegatives(NamedTuple):
    """Hard negatives of all rows, one after the other.

    Attributes:
      lists: ids and rows `[m]`, as given; samples of these ids are masked in their rows.
      counts: bool `[m]`, which of them are in their row's sum.
      safe_ids: int64 `[m]`: the ids that count, and for each other the row's positive.
    """

    lists: IdLists
    counts: torch.Tensor
    safe_ids: torch.Tensor


def hard_negatives(
    lists: IdLists, true_ids: torch.Tensor, domain: Any, excluded: Any = None
) -> HardNegatives:
    """Hard negatives that count once each, and never as the row's positive or an excluded id.

    Args:
      lists: ids as given; padding is an id that stands for no item.
      true_ids: int64 `[rows]`, ids that a table has.
      domain: an `IdDomain` or `MappedIdsOnDevice`, the ids that stand for an item.
      excluded: `IdLists`, or None.
    """
    rows = torch.arange(len(true_ids), device=true_ids.device)
    # An id counts where it is the first of its row, behind what must not count.
    everything = join(IdLists(true_ids, rows), excluded, lists)
    first = first_in_row(everything, domain.cardinality)[len(everything.ids) - len(lists.ids) :]
    counts = first & domain.contains(lists.ids)
    return HardNegatives(lists, counts, torch.where(counts, lists.ids, true_ids[lists.rows]))


def hard_log_sums(
    query: torch.Tensor, hard: HardNegatives, vectors: torch.Tensor, temperature: Any = 1.0
) -> torch.Tensor:
    """Log of the sum of `exp(score)` over each row's hard negatives, nats: float32 `[rows]`.

    Args:
      query: floats `[rows, dim]`.
      hard: of `hard_negatives`.
      vectors: floats `[m, dim]`, of its `safe_ids`.
      temperature: positive number or scalar; scores are divided by it.

    Returns:
      About `core.scores.MASKED` where a row has none.
    """
    query, rows = scale_by_temperature(query, temperature), hard.lists.rows
    scores = (query[rows] * clip_finite(vectors)).sum(1)
    scores = torch.where(hard.counts, scores, MASKED)
    none = scores.new_full((len(query),), MASKED)
    largest = none.scatter_reduce(0, rows, scores.detach(), "amax")
    sums = (none - largest).exp().index_add(0, rows, (scores - largest[rows]).exp())
    return largest + sums.log()
