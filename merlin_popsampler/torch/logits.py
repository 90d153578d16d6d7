"""Computes logits with the logQ correction for a positive and sampled candidates, and their loss.

The order of the steps matters. Scores are divided by the temperature. Then the logQ correction
subtracts the logarithm of the expected count of each candidate. So the sum over the samples
estimates the sum over the catalog. Then candidates that are not negatives of a row are masked.
"""

from typing import Any, NamedTuple, Optional, Tuple

import torch
from torch.nn import functional

from merlin_popsampler.contract.negatives import check_contrastive
from merlin_popsampler.core.scores import LARGEST, MASKED

from .id_lists import among, as_id_lists
from .item_table import check_width


class Candidates(NamedTuple):
    """Holds items to score: positives or negatives.

    Attributes:
      vectors: floats `[n, dim]`.
      ids: int64 `[n]`.
      counts: float32 `[n]`, the expected count of each id among the negatives of a row. An id with
        a count of 0 gets no logQ correction.

    Examples:
      The positives of a batch of two rows, as negatives of its other row:

      >>> from merlin_popsampler.torch import PopularityBasedSampler
      >>> sampler = PopularityBasedSampler.from_counts({3: 30, 5: 10}, max_num_samples=1)
      >>> true_ids = torch.tensor([3, 5])
      >>> expected = (2 - 1) * sampler.probability(true_ids)
      >>> Candidates(torch.ones(2, 8), true_ids, expected).counts.tolist()
      [0.75, 0.25]
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
    """Computes corrected logits of each row's positive and of all negatives, for `cross_entropy`.

    With `s_d = <query, item d> / temperature` and `n_d` the expected count of d, the cross-entropy
    of a row with positive y is

        -s_y + log n_y + log(e^s_y / n_y + sum over sampled d != y of e^s_d / n_d)    corrected
        -s_y + log(e^s_y + sum over sampled d != y of e^s_d / n_d)                    uncorrected

    The first treats the positive like a sample. Its minimum over all scores is that of the full
    softmax loss. The second estimates the full softmax loss itself, since the positive is in the
    sum with certainty.

    With `logq_strength` s, `n_d ** s` replaces `n_d`: 1 is the full correction, 0 is none.

    Args:
      query: floats `[rows, dim]`.
      positive: `Candidates` of this module, the positive of each row: `n` is `rows`.
      negative: `Candidates`, the samples that all rows share: `n` is `num_sampled`. Repeats are
        allowed.
      domain: an `IdDomain` or `MappedIdsOnDevice`, the ids that stand for an item; samples of
        other ids are masked.
      temperature: positive number or scalar; scores are divided by it.
      excluded_ids: ids that are not negatives of a row, for example its history: integers
        `[rows, n]` or `[1, n]`, padded with ids that stand for no item, or a nested tensor
        (`layout=torch.jagged`) of `rows` lists. The row's positive is always excluded.
      correct_positive: whether the logQ correction applies to the positive as well.
      logq_strength: from 0 to 1, the power of the expected counts.

    Returns:
      The logits of the positives (float32 `[rows]`) and of the negatives (float32
      `[rows, num_sampled]`), for vectors of any dtype and under autocast. They are finite for
      finite vectors. Masked logits are about `core.scores.MASKED`. A NaN or an infinity in a vector
      makes its logits NaN.

    Raises:
      PopSamplerError: `positive` or `negative` is not `Candidates` of tensors, or the width of
        vectors differs; another argument has a wrong type, or is out of range; or `excluded_ids`
        are not integers, or have neither `rows` rows nor one.

    Examples:
      >>> from merlin_popsampler.core.domain import IdDomain
      >>> items = torch.eye(3)
      >>> positive = Candidates(items[:1], torch.tensor([0]), torch.tensor([1.0]))
      >>> negative = Candidates(items[1:], torch.tensor([1, 2]), torch.tensor([1.0, 0.5]))
      >>> true_logits, logits = contrastive_logits(items[:1], positive, negative, IdDomain(0, 2))
      >>> true_logits.tolist(), [round(logit, 4) for logit in logits[0].tolist()]
      ([1.0], [0.0, 0.6931])

    References:
      Bengio, Senecal 2008, "Adaptive Importance Sampling to Accelerate Training of a Neural
      Probabilistic Language Model", section III. Khrylchenko et al. 2025, "Correcting the LogQ
      Correction: Revisiting Sampled Softmax for Large-Scale Retrieval", section 3.
    """
    candidates = {"positive": positive, "negative": negative}
    check_contrastive(
        query,
        candidates,
        domain,
        Candidates,
        torch.is_tensor,
        temperature,
        logq_strength,
        correct_positive,
    )
    for given in candidates.values():
        check_width(query, given.vectors)
    query = scale_by_temperature(query, temperature)
    true_logits = positive_logits(query, positive, correct_positive, logq_strength)
    with full_precision(query):
        scores = query @ clip_finite(negative.vectors).T
    # Masked logits get a large negative offset: one pass forward, and no gradient work.
    discount = discounts(negative, domain, logq_strength)
    masked = accidental_hits(positive.ids, negative.ids, excluded_ids)
    return true_logits, scores - torch.where(masked, -MASKED, discount)


def positive_logits(
    query: torch.Tensor, positive: Candidates, correct_positive: bool, logq_strength: float
) -> torch.Tensor:
    """Computes the logits of the positives, float32 `[rows]`; queries are divided already."""
    logits = (query * clip_finite(positive.vectors)).sum(1)
    return logits - log_counts(positive.counts, logq_strength) if correct_positive else logits


def discounts(negative: Candidates, domain: Any, logq_strength: float) -> torch.Tensor:
    """Computes the logQ correction of the negatives, float32 `[num_sampled]`, to be subtracted.

    For ids that do not stand for an item it is so large that it masks them.
    """
    discount = log_counts(negative.counts, logq_strength)
    return torch.where(domain.contains(negative.ids), discount, -MASKED)


def log_counts(counts: Any, logq_strength: float) -> torch.Tensor:
    """Returns the logarithms of expected counts; 0, no correction, for a count of 0."""
    counts = torch.as_tensor(counts)  # one number may stand for all
    return logq_strength * torch.where(counts <= 0.0, 1.0, counts).log()


def cross_entropy(
    true_logits: torch.Tensor, logits: torch.Tensor, hard: Optional[torch.Tensor] = None
) -> torch.Tensor:
    """Computes the loss of each row from the result of `contrastive_logits`.

    Args:
      true_logits: float32 `[rows]`.
      logits: float32 `[rows, num_sampled]`.
      hard: float32 `[rows]`, the `hard_log_sums` of the rows, if they have hard negatives.

    Returns:
      float32 `[rows]`, in nats.
    """
    others = torch.logsumexp(logits, 1)
    if hard is not None:
        others = torch.logaddexp(others, hard)
    losses: torch.Tensor = functional.softplus(others - true_logits)
    return losses


def clip_finite(vectors: torch.Tensor) -> torch.Tensor:
    """Clips vectors to float32 numbers whose scores are finite; NaN and infinities become NaN."""
    vectors = vectors.to(torch.float32)
    # Adds 0 times each component, which is NaN for a component that is not finite. In place, since
    # another allocation of the catalog's size would slow down each evaluation.
    return vectors.clamp(-LARGEST, LARGEST).addcmul_(vectors, vectors.new_zeros(()))


def scale_by_temperature(query: torch.Tensor, temperature: Any) -> torch.Tensor:
    """Divides clipped queries by the temperature, which divides all scores."""
    # Clipped before the division, so that large finite queries do not become NaN.
    return (clip_finite(query) / temperature).clamp_(-LARGEST, LARGEST)


def full_precision(tensor: torch.Tensor) -> torch.autocast:
    """Disables autocast, which would round products to a few digits."""
    # PyTorch has no autocast for the meta device, and raises an error there.
    return torch.autocast("cpu" if tensor.is_meta else tensor.device.type, enabled=False)


def accidental_hits(
    true_ids: torch.Tensor, sampled_ids: torch.Tensor, excluded_ids: Any
) -> torch.Tensor:
    """Finds the samples to mask in each row, bool `[rows, num_sampled]`.

    These are the accidental hits, which equal the row's positive, and the row's excluded ids.

    Args:
      true_ids: int64 `[rows]`.
      sampled_ids: int64 `[num_sampled]`.
      excluded_ids: see `contrastive_logits`.
    """
    hits = true_ids[:, None] == sampled_ids
    if excluded_ids is None:
        return hits
    lists = as_id_lists("excluded_ids", excluded_ids, true_ids.shape, true_ids.device)
    return hits | among(lists, sampled_ids, len(true_ids))
