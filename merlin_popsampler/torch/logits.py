"""Logits of one positive and of sampled candidates for each row, and their loss: no state.

The order of the steps is the point. Scores are divided by the temperature first; then the log of
the number of times that each candidate is expected among the samples is subtracted, so that the sum
over the samples estimates the sum over the catalog; then what is no negative of a row is masked.
"""

import math
from typing import Any, List, NamedTuple, Sequence, Tuple

import torch
from torch.nn import functional

from merlin_popsampler.core.scores import LARGEST, MASKED
from merlin_popsampler.errors import PopSamplerError

from .ids import as_ids


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


def cross_entropy(true_logits: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Loss of each row of `contrastive_logits`, nats: float32 `[rows]`."""
    losses: torch.Tensor = functional.softplus(torch.logsumexp(logits, 1) - true_logits)
    return losses


def clip_finite(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors in float32 whose scores are finite: clipped, but NaN where they are not finite."""
    vectors = vectors.to(torch.float32)
    # One pass that adds 0 times each component, which is NaN where that is not finite.
    return torch.addcmul(_clipped(vectors), vectors, vectors.new_zeros(()))


def _clipped(vectors: torch.Tensor) -> torch.Tensor:
    return vectors.clamp(-LARGEST, LARGEST)


def scale_by_temperature(query: torch.Tensor, temperature: Any) -> torch.Tensor:
    """Queries, as `clip_finite` vectors, whose scores are divided by the temperature."""
    # Clipped first, so that only what came in as an infinity is one afterwards.
    return _clipped(clip_finite(query) / temperature)


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
    excluded_ids = rows_of_ids(excluded_ids, true_ids.shape, true_ids.device)
    return hits | _among(excluded_ids, sampled_ids, len(true_ids))


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


def rows_of_ids(excluded_ids: Any, leading: Sequence[int], device: torch.device) -> torch.Tensor:
    """Excluded ids, a list for each row: int64 `[rows, n]`, dense or nested.

    Args:
      excluded_ids: integers `[*leading, n]` in which a leading dimension may be 1, or `[rows, n]`,
        the rows one after the other; or nested, of `rows` lists.
      leading: the dimensions of the queries before their width; `rows` is their product.
      device: of the result.

    Raises:
      PopSamplerError: other numbers, or another shape.
    """
    ids = as_ids(excluded_ids, device)
    rows, given = math.prod(leading), () if ids.is_nested else tuple(ids.shape[:-1])
    fits = len(given) == len(leading) and all(a in (1, b) for a, b in zip(given, leading))
    if ids.is_nested:
        fits = ids.dim() == 2 and ids.layout == torch.jagged and len(ids) == rows
    if not (fits or given == (rows,)):
        raise PopSamplerError(
            f"Expected excluded_ids {[*leading, 'n']}, where a dimension before n may be 1, or "
            f"{rows} lists, one for each query, dense or nested (layout=torch.jagged). Received: "
            f"{type(excluded_ids).__name__} of shape {_shape(ids)}. Where queries share a list, "
            "insert a dimension of 1: excluded_ids[:, None] for one list a session."
        )
    if ids.is_nested or given == (rows,):
        return ids
    return ids.expand(*leading, ids.shape[-1]).reshape(rows, ids.shape[-1])


def _shape(ids: torch.Tensor) -> List[Any]:
    """The shape as a message quotes it; strided nested tensors have none."""
    if ids.is_nested and ids.layout != torch.jagged:
        return [ids.size(0), "strided"]
    return list(ids.shape)


def _flat(ids: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    """The ids of a matrix, dense or nested, one after the other, and the row of each."""
    if ids.is_nested:
        ids = ids.contiguous()  # a narrowed one has holes
        values, lengths = ids.values(), ids.offsets().diff()
        rows = torch.arange(len(lengths), device=values.device)
        return values, rows.repeat_interleave(lengths, output_size=len(values))
    rows = torch.arange(len(ids), device=ids.device)[:, None].expand(ids.shape)
    return ids.reshape(-1), rows.reshape(-1)
