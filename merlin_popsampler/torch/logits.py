"""Logits of one positive and of sampled candidates for each row, and their loss: no state.

The order of the steps is the point. Scores are divided by the temperature first; then the log of
the number of times that each candidate is expected among the samples is subtracted, so that the sum
over the samples estimates the sum over the catalog; then what is no negative of a row is masked.
"""

from typing import Any, NamedTuple, Tuple

import torch
from torch.nn import functional

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.scores import LARGEST, MASKED


class Candidates(NamedTuple):
    """Items to be scored.

    Attributes:
      vectors: floats `[n, dim]`.
      ids: int64 `[n]`.
      counts: float32 `[n]`, positive: how often each id is expected among the negatives of a row.
    """

    vectors: torch.Tensor
    ids: torch.Tensor
    counts: torch.Tensor


def contrastive_logits(
    query: torch.Tensor,
    positive: Candidates,
    negative: Candidates,
    domain: IdDomain,
    temperature: Any = 1.0,
    excluded_ids: Any = None,
    correct_positive: bool = True,
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Corrected logits of each row's positive, and of all negatives: what `cross_entropy` takes.

    With `s_d = <query, item d> / temperature` and `n_d` the expected count of d, the cross-entropy
    of a row with positive y is

        -s_y + log n_y + log(e^s_y / n_y + sum over sampled d != y of e^s_d / n_d)    corrected
        -s_y + log(e^s_y + sum over sampled d != y of e^s_d / n_d)                    uncorrected

    The first is least, over all scores, where the loss of the full softmax is. The second estimates
    that loss itself: the positive is in the sum with certainty, the others as often as they are
    expected.

    Args:
      query: floats `[rows, dim]`.
      positive: one item a row, `rows` of them.
      negative: the samples that all rows share, `num_sampled` of them, repeats allowed.
      domain: the ids that stand for an item; samples of others are masked.
      temperature: positive number or scalar; scores are divided by it.
      excluded_ids: integers `[rows, n]`, dense (padded with ids that stand for no item) or nested
        (`layout=torch.jagged`): ids that are no negatives of a row, its history for example. Its
        positive never is one.
      correct_positive: whether the positive's count is subtracted as well.

    Returns:
      float32 `[rows]` and `[rows, num_sampled]`, whatever the dtype of the vectors and under
      autocast, finite for finite vectors; what is masked differs from `core.scores.MASKED` by no
      more than a score.

    References:
      Bengio, Senecal 2008, "Adaptive Importance Sampling to Accelerate Training of a Neural
      Probabilistic Language Model", section III. Khrylchenko et al. 2025, "Correcting the LogQ
      Correction: Revisiting Sampled Softmax for Large-Scale Retrieval", section 3.
    """
    query = tempered(query, temperature)
    true_logits = (query * bounded(positive.vectors)).sum(1)
    if correct_positive:
        true_logits = true_logits - torch.log(positive.counts)
    with full_precision(query):
        scores = query @ bounded(negative.vectors).T
    # What is masked is discounted beyond any score: one pass over the matrix, and none backwards.
    discount = torch.where(domain.contains(negative.ids), torch.log(negative.counts), -MASKED)
    masked = is_no_negative(positive.ids, negative.ids, excluded_ids)
    return true_logits, scores - torch.where(masked, -MASKED, discount)


def cross_entropy(true_logits: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Loss of each row of `contrastive_logits`, nats: float32 `[rows]`."""
    losses: torch.Tensor = functional.softplus(torch.logsumexp(logits, 1) - true_logits)
    return losses


def bounded(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors in float32 whose scores are finite; what is no number stays none, for all to see."""
    return vectors.to(torch.float32).clamp(-LARGEST, LARGEST)


def tempered(query: torch.Tensor, temperature: Any) -> torch.Tensor:
    """Queries, as `bounded` vectors, whose scores are divided by the temperature."""
    return bounded(query.to(torch.float32) / temperature)


def full_precision(tensor: torch.Tensor) -> torch.autocast:
    """Where products stay float32, since autocast would round them to a few digits."""
    return torch.autocast(tensor.device.type, enabled=False)


def is_no_negative(
    true_ids: torch.Tensor, sampled_ids: torch.Tensor, excluded_ids: Any
) -> torch.Tensor:
    """Whether a sample is the row's positive, or excluded for it: bool `[rows, num_sampled]`."""
    hits = true_ids[:, None] == sampled_ids
    return hits if excluded_ids is None else hits | _among(excluded_ids, sampled_ids, len(true_ids))


def _among(excluded_ids: torch.Tensor, sampled_ids: torch.Tensor, rows: int) -> torch.Tensor:
    """Which samples are among a row's excluded ids: bool `[rows, num_sampled]`.

    Each excluded id is looked up among the sorted samples, since a comparison of all pairs would
    take memory for rows x excluded x samples.
    """
    values, row = _flat(excluded_ids)
    ordered = sampled_ids.sort().values
    width = len(ordered)
    place = torch.searchsorted(ordered, values).clamp(max=width - 1)
    found = (ordered[place] == values).to(torch.int32)
    marked = found.new_zeros(rows * width).index_add(0, row * width + place, found)
    # Repeats of an id share the place of the first.
    return marked.view(rows, width)[:, torch.searchsorted(ordered, sampled_ids)] > 0


def _flat(ids: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """The ids of a matrix, dense or nested, one after the other, and the row of each."""
    if ids.is_nested:
        values, lengths = ids.values(), ids.offsets().diff()
        rows = torch.arange(len(lengths), device=values.device)
        return values.to(torch.int64), rows.repeat_interleave(lengths, output_size=len(values))
    rows = torch.arange(len(ids), device=ids.device)[:, None].expand(ids.shape)
    return ids.to(torch.int64).reshape(-1), rows.reshape(-1)
