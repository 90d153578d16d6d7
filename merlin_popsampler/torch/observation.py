"""Computes the numbers of a training step that a `SamplingMonitor` reports, on the device."""

from typing import Any, Dict, Optional

import torch

from merlin_popsampler.core.sampling_numbers import SHARE_DRAWN, STEP_NUMBERS
from merlin_popsampler.core.scores import MASKED

from .blocked_logits import block_of, parts_of
from .logits import (
    Candidates,
    accidental_hits,
    clip_finite,
    discounts,
    full_precision,
    log_counts,
    scale_by_temperature,
)


class Observation:
    """Passes numbers from a loss to its monitor; it is not part of the loss's `state_dict`.

    Args:
      items: number of items in the catalog, to record which were drawn; None records nothing.

    Attributes:
      due: whether the next training step computes the numbers.
      numbers: float32 `[4]`, the numbers of the last step that computed them, see `step_numbers`.
      drawn: bool `[items + 1]`, whether each rank was a candidate; the last entry stands for ids
        that are not items.
    """

    def __init__(self, items: Optional[int]) -> None:
        self.due = True
        self.numbers: Optional[torch.Tensor] = None
        self.drawn = None if items is None else torch.zeros(items + 1, dtype=torch.bool)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def note(self, ids: torch.Tensor, domain: Any) -> None:
        """Records the candidates of a step.

        Args:
          ids: int64 `[n]`, the candidates.
          domain: the ids that stand for an item.
        """
        if self.drawn is None:
            return
        if self.drawn.device != ids.device:
            self.drawn = self.drawn.to(ids.device)
        items = len(self.drawn) - 1
        self.drawn[torch.where(domain.contains(ids), domain.rank(ids), items)] = True

    def read(self) -> Dict[str, float]:
        """Returns the numbers by name, {} before the first step; the host waits for the device."""
        if self.numbers is None:
            return {}
        found = dict(zip(STEP_NUMBERS, self.numbers.tolist()))
        if self.drawn is not None:
            found[SHARE_DRAWN] = self.drawn[:-1].float().mean().item()
        return found


@torch.no_grad()  # type: ignore[untyped-decorator]
def step_numbers(
    query: torch.Tensor,
    positive: Candidates,
    negative: Candidates,
    has_item: torch.Tensor,
    domain: Any,
    temperature: float,
    excluded: Any,
    correct_positive: bool,
    logq_strength: float,
    in_batch: bool,
) -> torch.Tensor:
    """Computes the numbers of `core.sampling_numbers.step_numbers`: float32 `[4]`, in that order.

    The logits are computed again, block by block, without a gradient. The arguments are those of
    `contrastive_logits`, and two more. `has_item`, bool `[rows]`, tells whether the row's positive
    is an item. `in_batch` tells whether the negatives contain each row's own positive, which is not
    a hit.
    """
    query, vectors = scale_by_temperature(query, temperature), clip_finite(negative.vectors)
    discount, lists = discounts(negative, domain, logq_strength), excluded or ()
    hits = query.new_full((len(query),), -1.0 if in_batch else 0.0)
    sums = squares = query.new_full((len(query),), -torch.inf)
    with full_precision(query):
        for part in parts_of(query, vectors):
            block = block_of(query, vectors, part, discount, positive.ids, negative.ids, *lists)
            sums = torch.logaddexp(sums, block.logsumexp(1))
            squares = torch.logaddexp(squares, (2.0 * block).logsumexp(1))
            hits = hits + accidental_hits(positive.ids, negative.ids[part], excluded).sum(1)
    corrections = [log_counts(negative.counts, logq_strength) * domain.contains(negative.ids)]
    if correct_positive:
        corrections.append(log_counts(positive.counts, logq_strength) * has_item)
    effective = torch.where(sums > 0.5 * MASKED, (2.0 * sums - squares).exp(), 0.0)
    rows = has_item.sum()
    means = [torch.where(has_item, each, 0.0).sum() / rows for each in (hits, effective)]
    largest = torch.cat([*corrections, query.new_zeros(1)]).abs().max()
    return torch.stack([*means, largest, (len(query) - rows).to(torch.float32)])
