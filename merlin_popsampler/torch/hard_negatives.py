"""Adds hard negatives: ids that are in the softmax of a row with an expected count of 1."""

from typing import Any, NamedTuple

import torch

from merlin_popsampler.core.scores import MASKED

from .id_lists import IdLists, first_in_row, join
from .logits import clip_finite, scale_by_temperature


class HardNegatives(NamedTuple):
    """Holds the hard negatives of all rows, concatenated.

    Attributes:
      lists: ids and rows `[m]`, as the caller passed them. Samples of these ids are masked in their
        rows.
      counts: bool `[m]`, whether the id enters the softmax of its row.
      safe_ids: int64 `[m]`, the ids to look up: the id if it enters the softmax, otherwise the
        row's positive, which is a valid id.
    """

    lists: IdLists
    counts: torch.Tensor
    safe_ids: torch.Tensor


def hard_negatives(
    lists: IdLists, true_ids: torch.Tensor, domain: Any, excluded: Any = None
) -> HardNegatives:
    """Finds the hard negatives that enter the softmax.

    These are the first occurrences of items that are neither the row's positive nor excluded.

    Args:
      lists: ids as the caller passed them; ids that do not stand for an item are padding.
      true_ids: int64 `[rows]`, the positives, ids of items.
      domain: an `IdDomain` or `MappedIdsOnDevice`, the ids that stand for an item.
      excluded: `IdLists` of excluded ids, or None.
    """
    rows = torch.arange(len(true_ids), device=true_ids.device)
    # The positive and the excluded ids come first, so a hard negative that equals one is a repeat.
    everything = join(IdLists(true_ids, rows), excluded, lists)
    first = first_in_row(everything, domain.cardinality)[len(everything.ids) - len(lists.ids) :]
    counts = first & domain.contains(lists.ids)
    return HardNegatives(lists, counts, torch.where(counts, lists.ids, true_ids[lists.rows]))


def hard_log_sums(
    query: torch.Tensor, hard: HardNegatives, vectors: torch.Tensor, temperature: Any = 1.0
) -> torch.Tensor:
    """Computes the log of the sum of `exp(score)` over the hard negatives of each row.

    Args:
      query: floats `[rows, dim]`.
      hard: the result of `hard_negatives`.
      vectors: floats `[m, dim]`, the vectors of `hard.safe_ids`.
      temperature: positive number or scalar; scores are divided by it.

    Returns:
      float32 `[rows]`, in nats; about `core.scores.MASKED` for a row without hard negatives.
    """
    query, rows = scale_by_temperature(query, temperature), hard.lists.rows
    scores = (query[rows] * clip_finite(vectors)).sum(1)
    scores = torch.where(hard.counts, scores, MASKED)
    none = scores.new_full((len(query),), MASKED)
    largest = none.scatter_reduce(0, rows, scores.detach(), "amax")
    sums = (none - largest).exp().index_add(0, rows, (scores - largest[rows]).exp())
    return largest + sums.log()
