"""Logits of one positive and of sampled candidates for each row, and their loss: no state.

The order of the steps is the point. Scores are divided by the temperature first; then the log of
the number of times that each candidate is expected among the samples is subtracted, so that the sum
over the samples estimates the sum over the catalog; then what is no negative of a row is masked.
"""

from typing import Any, NamedTuple, Optional, Tuple

import torch
from torch.nn import functional

from merlin_popsampler.core.scores import LARGEST, MASKED

from .id_lists import among, as_id_lists


class Candidates(NamedTuple):
    """Items to be scored.

    Attributes:
      vectors: floats `[n, dim]`.
      ids: int64 `[n]`.
      counts: float32 `[n]`: how often each id is expected among the negatives of a row. A count of
        0 gets no correction.
    """

    vectors: torch.Tensor
    ids: torch.Tensor
    counts: torch.Tensor


def contrastive_logits(
    query: torch.Tensor,
    positive: Candidates,
    negative: Candidates,
    domain: Any,
    temperature: Any = 1.0,
    excluded_ids: Any = None,
    correct_positive: bool = True,
    logq_strength: float = 1.0,
) -> Tuple[torch.Tensor, torch.Tensor]:
    """Corrected logits of each row's positive, and of all negatives: what `cross_entropy` takes.

    With `s_d = <query, item d> / temperature` and `n_d` the expected count of d, the cross-entropy
    of a row with positive y is

        -s_y + log n_y + log(e^s_y / n_y + sum over sampled d != y of e^s_d / n_d)    corrected
        -s_y + log(e^s_y + sum over sampled d != y of e^s_d / n_d)                    uncorrected

    The first is least, over all scores, where the loss of the full softmax is. The second estimates
    that loss itself: the positive is in the sum with certainty, the others as often as they are
    expected.

    With `logq_strength` s, `n_d ** s` stands for `n_d`: 1 is the correction, 0 leaves it out.

    Args:
      query: floats `[rows, dim]`.
      positive: one item a row, `rows` of them.
      negative: the samples that all rows share, `num_sampled` of them, repeats allowed.
      domain: an `IdDomain` or `MappedIdsOnDevice`, the ids that stand for an item; samples of
        other ids are masked.
      temperature: positive number or scalar; scores are divided by it.
      excluded_ids: integers `[rows, n]` or `[1, n]`, dense (padded with ids that stand for no
        item), or nested (`layout=torch.jagged`) of `rows` lists: ids that are not negatives of a
        row, its history for example. Its positive never is one.
      correct_positive: whether the positive's count is subtracted as well.
      logq_strength: from 0 to 1, the power of the expected counts.

    Returns:
      float32 `[rows]` and `[rows, num_sampled]`, whatever the dtype of the vectors and under
      autocast, finite for finite vectors; what is masked differs from `core.scores.MASKED` by no
      more than a score. A NaN or an infinity in a vector makes its logits NaN.

    Raises:
      PopSamplerError: excluded ids that are not integers, or not of `rows` rows or one.

    References:
      Bengio, Senecal 2008, "Adaptive Importance Sampling to Accelerate Training of a Neural
      Probabilistic Language Model", section III. Khrylchenko et al. 2025, "Correcting the LogQ
      Correction: Revisiting Sampled Softmax for Large-Scale Retrieval", section 3.
    """
    query = scale_by_temperature(query, temperature)
    true_logits = (query * clip_finite(positive.vectors)).sum(1)
    if correct_positive:
        true_logits = true_logits - _log(positive.counts, logq_strength)
    with full_precision(query):
        scores = query @ clip_finite(negative.vectors).T
    # What is masked is discounted beyond any score: one pass over the matrix, and none backwards.
    discount = _log(negative.counts, logq_strength)
    discount = torch.where(domain.contains(negative.ids), discount, -MASKED)
    masked = accidental_hits(positive.ids, negative.ids, excluded_ids)
    return true_logits, scores - torch.where(masked, -MASKED, discount)


def _log(counts: torch.Tensor, logq_strength: float) -> torch.Tensor:
    """Corrections by expected counts; 0, no correction, for a count of 0."""
    return logq_strength * torch.where(counts <= 0.0, 1.0, counts).log()


def cross_entropy(
    true_logits: torch.Tensor, logits: torch.Tensor, hard: Optional[torch.Tensor] = None
) -> torch.Tensor:
    """Loss of each row of `contrastive_logits`, nats: float32 `[rows]`.

    Args:
      true_logits: float32 `[rows]`.
      logits: float32 `[rows, num_sampled]`.
      hard: float32 `[rows]`, the `hard_log_sums` of the rows, if they have hard negatives.
    """
    others = torch.logsumexp(logits, 1)
    if hard is not None:
        others = torch.logaddexp(others, hard)
    losses: torch.Tensor = functional.softplus(others - true_logits)
    return losses


def clip_finite(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors in float32 whose scores are finite: clipped, but NaN where they are not finite."""
    vectors = vectors.to(torch.float32)
    # Adds 0 times each component, which is NaN where that is not finite. In place, since a second
    # copy of a catalog's vectors would have its memory fetched from the system in each evaluation.
    return vectors.clamp(-LARGEST, LARGEST).addcmul_(vectors, vectors.new_zeros(()))


def scale_by_temperature(query: torch.Tensor, temperature: Any) -> torch.Tensor:
    """Queries, as `clip_finite` vectors, whose scores are divided by the temperature."""
    # Clipped first, so that only what came in as an infinity is one afterwards.
    return (clip_finite(query) / temperature).clamp_(-LARGEST, LARGEST)


def full_precision(tensor: torch.Tensor) -> torch.autocast:
    """Where products stay float32, since autocast would round them to a few digits."""
    return torch.autocast(tensor.device.type, enabled=False)


def accidental_hits(
    true_ids: torch.Tensor, sampled_ids: torch.Tensor, excluded_ids: Any
) -> torch.Tensor:
    """Whether a sample is the row's positive, or excluded for it: bool `[rows, num_sampled]`."""
    hits = true_ids[:, None] == sampled_ids
    if excluded_ids is None:
        return hits
    lists = as_id_lists("excluded_ids", excluded_ids, true_ids.shape, true_ids.device)
    return hits | among(lists, sampled_ids, len(true_ids))
