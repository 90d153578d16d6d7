"""Computes logits with the logQ correction for a positive and sampled candidates, and their loss.

The order of the steps matters. Scores are divided by the temperature. Then the logQ correction
subtracts the logarithm of the expected count of each candidate. So the sum over the samples
estimates the sum over the catalog. Then candidates that are not negatives of a row are masked.
"""

from typing import Any, NamedTuple, Optional, Tuple

import tensorflow as tf

from merlin_popsampler.contract.negatives import check_contrastive
from merlin_popsampler.core.scores import LARGEST, MASKED

from .id_lists import among, as_id_lists, flat
from .item_table import check_width


class Candidates(NamedTuple):
    """Holds items to score: positives or negatives.

    Attributes:
      vectors: floats `[n, dim]`.
      ids: integers `[n]`.
      counts: float32 `[n]`, the expected count of each id among the negatives of a row. An id with
        a count of 0 gets no logQ correction.

    Examples:
      The positives of a batch of two rows, as negatives of its other row:

      >>> from merlin_popsampler.tf import PopularityBasedSampler
      >>> sampler = PopularityBasedSampler.from_counts({3: 30, 5: 10}, max_num_samples=1)
      >>> true_ids = tf.constant([3, 5])
      >>> expected = (2 - 1) * sampler.probability(true_ids)
      >>> Candidates(tf.ones([2, 8]), true_ids, expected).counts.numpy().tolist()
      [0.75, 0.25]
    """

    vectors: tf.Tensor
    ids: tf.Tensor
    counts: tf.Tensor


class Scores(NamedTuple):
    """Holds scores of candidates, divided by the temperature and without the logQ correction.

    Attributes:
      query: float32 `[rows, dim]`, divided by the temperature.
      true: float32 `[rows]`, scores of the positives.
      negative: float32 `[rows, num_sampled]`, scores of the candidates.
      masked: bool `[rows, num_sampled]`, accidental hits and excluded candidates.
    """

    query: tf.Tensor
    true: tf.Tensor
    negative: tf.Tensor
    masked: tf.Tensor


def contrastive_logits(
    query: tf.Tensor,
    positive: Candidates,
    negative: Candidates,
    domain: Any,
    temperature: Any = 1.0,
    excluded_ids: Any = None,
    correct_positive: bool = True,
    logq_strength: float = 1.0,
) -> Tuple[tf.Tensor, tf.Tensor]:
    """Computes corrected logits of each row's positive and of all negatives, for `cross_entropy`.

    With `s_d = <query, item d> / temperature` and `n_d` the expected count of d, the cross-entropy
    of a row with positive y is

        -s_y + log n_y + log(e^s_y / n_y + sum over sampled d != y of e^s_d / n_d)    corrected
        -s_y + log(e^s_y + sum over sampled d != y of e^s_d / n_d)                    uncorrected

    The first treats the positive like a sample. Its minimum over all scores is that of the full
    softmax loss. The second estimates the full softmax loss itself, since the positive is in the
    sum with certainty. Its gradient is that of the loss without the positive in the sum, times
    `1 - P(y)`, where P(y) is the share of `e^s_y` in the sum with it.

    With `logq_strength` s, `n_d ** s` replaces `n_d`: 1 is the full correction, 0 is none.

    Args:
      query: floats `[rows, dim]`.
      positive: `Candidates` of this module, the positive of each row: `n` is `rows`.
      negative: `Candidates`, the samples that all rows share: `n` is `num_sampled`. Repeats are
        allowed.
      domain: an `IdDomain` or `MappedIdsInWeights`, the ids that stand for an item; samples of
        other ids are masked.
      temperature: positive number or scalar; scores are divided by it.
      excluded_ids: ids that are not negatives of a row, for example its history: integers
        `[rows, n]` or `[1, n]`, ragged, or dense and padded with ids that stand for no item. The
        row's positive is always excluded.
      correct_positive: whether the logQ correction applies to the positive as well.
      logq_strength: from 0 to 1, the power of the expected counts.

    Returns:
      The logits of the positives (float32 `[rows]`) and of the negatives (float32
      `[rows, num_sampled]`), for vectors of any dtype. They are finite for finite vectors. Masked
      logits are about `core.scores.MASKED`. A NaN or an infinity in a vector makes its logits NaN.

    Raises:
      PopSamplerError: `positive` or `negative` is not `Candidates` of tensors, or the width of
        vectors differs; another argument has a wrong type, or is out of range; or `excluded_ids`
        are not integers, or have neither `rows` rows nor one.

    Examples:
      >>> from merlin_popsampler.core.domain import IdDomain
      >>> items = tf.eye(3)
      >>> positive = Candidates(items[:1], tf.constant([0]), tf.constant([1.0]))
      >>> negative = Candidates(items[1:], tf.constant([1, 2]), tf.constant([1.0, 0.5]))
      >>> true_logits, logits = contrastive_logits(items[:1], positive, negative, IdDomain(0, 2))
      >>> true_logits.numpy().tolist(), [round(logit, 4) for logit in logits[0].numpy().tolist()]
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
        _has_shape,
        temperature,
        logq_strength,
        correct_positive,
    )
    for given in candidates.values():
        check_width(query, given.vectors)
    scores = candidate_scores(query, positive, negative, temperature, excluded_ids)
    return corrected(scores, positive, negative, domain, correct_positive, logq_strength)


def _has_shape(part: Any) -> bool:
    """Tests for a tensor, variable or array."""
    return hasattr(part, "shape")


def candidate_scores(
    query: tf.Tensor,
    positive: Candidates,
    negative: Candidates,
    temperature: Any,
    excluded_ids: Any = None,
) -> Scores:
    """Computes scores without the logQ correction; see `contrastive_logits` for the arguments."""
    query = scale_by_temperature(query, temperature)
    true = tf.reduce_sum(query * clip_finite(positive.vectors), 1)
    scores = tf.matmul(query, clip_finite(negative.vectors), transpose_b=True)
    return Scores(query, true, scores, accidental_hits(positive.ids, negative.ids, excluded_ids))


def corrected(
    scores: Scores,
    positive: Candidates,
    negative: Candidates,
    domain: Any,
    correct_positive: bool,
    logq_strength: float = 1.0,
) -> Tuple[tf.Tensor, tf.Tensor]:
    """Subtracts the logQ correction from the result of `candidate_scores`, and masks candidates.

    See `contrastive_logits` for the other arguments and the result.
    """
    true_logits = scores.true - positive_discounts(positive, correct_positive, logq_strength)
    # Masked logits get a large negative offset: one pass forward, and no gradient work.
    discount = discounts(negative, domain, logq_strength)
    return true_logits, scores.negative - tf.where(scores.masked, -MASKED, discount)


def discounts(negative: Candidates, domain: Any, logq_strength: float) -> tf.Tensor:
    """Computes the logQ correction of the negatives, float32 `[num_sampled]`, to be subtracted.

    For ids that do not stand for an item it is so large that it masks them.
    """
    discount = log_counts(negative.counts, logq_strength)
    return tf.where(domain.contains(negative.ids), discount, -MASKED)


def positive_discounts(
    positive: Candidates, correct_positive: bool, logq_strength: float
) -> tf.Tensor:
    """Computes the logQ correction of the positives, float32 `[rows]`, to be subtracted."""
    return log_counts(positive.counts, logq_strength) if correct_positive else tf.zeros([])


def log_counts(counts: tf.Tensor, logq_strength: float) -> tf.Tensor:
    """Returns the logarithms of expected counts; 0, no correction, for a count of 0."""
    return logq_strength * tf.math.log(tf.where(counts <= 0.0, 1.0, counts))


def cross_entropy(
    true_logits: tf.Tensor, logits: tf.Tensor, hard: Optional[tf.Tensor] = None
) -> tf.Tensor:
    """Computes the loss of each row from the result of `contrastive_logits`.

    Args:
      true_logits: float32 `[rows]`.
      logits: float32 `[rows, num_sampled]`.
      hard: float32 `[rows]`, the `hard_log_sums` of the rows, if they have hard negatives.

    Returns:
      float32 `[rows]`, in nats.
    """
    return loss_of_sums(true_logits, tf.reduce_logsumexp(logits, 1), hard)


def loss_of_sums(
    true_logits: tf.Tensor, log_sums: tf.Tensor, hard: Optional[tf.Tensor] = None
) -> tf.Tensor:
    """Computes the cross-entropy of each row from the log-sum-exp of its negatives.

    Args:
      true_logits: float32 `[rows]`, logits of the positives.
      log_sums: float32 `[rows]`, log-sum-exp of the logits of the negatives.
      hard: float32 `[rows]`, log-sum-exp of the logits of the hard negatives, or None.

    Returns:
      float32 `[rows]`, in nats.
    """
    if hard is not None:
        log_sums = tf.reduce_logsumexp(tf.stack([log_sums, hard], 1), 1)
    return tf.nn.softplus(log_sums - true_logits)


def one_positive_a_row(query: tf.Tensor, true_ids: Any) -> Tuple[tf.Tensor, tf.Tensor, Any]:
    """Converts a batch whose queries have several positives to rows with one positive each.

    Args:
      query: floats `[batch, dim]`.
      true_ids: integers `[batch, num_true]`, dense (padded with ids that stand for no item) or
        ragged.

    Returns:
      The queries `[rows, dim]`; the positive of each row, `[rows]`; and all positives of its query,
      `[rows, num_true]`, dense or ragged. Pass the last as `excluded_ids` of `contrastive_logits`.

    Examples:
      >>> queries, true_ids = tf.eye(2), tf.ragged.constant([[7, 500], [12]])
      >>> rows, positives, excluded = one_positive_a_row(queries, true_ids)
      >>> rows.numpy().tolist(), positives.numpy().tolist()
      ([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [7, 500, 12])
    """
    positives, batch_row = flat(true_ids)
    return tf.gather(query, batch_row), positives, tf.gather(true_ids, batch_row)


def row_weights(counting: tf.Tensor) -> tf.Tensor:
    """Computes weights of row losses, so that their Keras mean is the mean over rows with an item.

    Let R be the number of replicas, n the rows of this one, and C the rows with an item on all
    replicas. Keras divides the sum over a replica's rows by n, sums over replicas, and divides by
    R. So the weight of a row with an item is `R n / C`. Later sample weights do not change C.

    Args:
      counting: bool `[rows]`, whether the positive of the row is an item.

    Returns:
      float32 `[rows]`; zeros if no row has an item.
    """
    weights = tf.cast(counting, tf.float32)
    total, rows = tf.reduce_sum(weights), tf.cast(tf.size(weights), tf.float32)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, total)
        rows *= context.num_replicas_in_sync
    return tf.stop_gradient(weights * tf.math.divide_no_nan(rows, total))


def clip_finite(vectors: Any) -> tf.Tensor:
    """Clips vectors to float32 numbers whose scores are finite; NaN and infinities become NaN."""
    return scale_by_temperature(vectors, 1.0)


def scale_by_temperature(query: Any, temperature: Any) -> tf.Tensor:
    """Divides clipped queries by the temperature, which divides all scores."""
    query, temperature = tf.cast(query, tf.float32), tf.cast(temperature, tf.float32)
    # The quotient of infinities is NaN. This takes a third of the time of tf.clip_by_value.
    least = tf.abs(tf.stop_gradient(query)) / LARGEST
    return query / tf.maximum(temperature, least)


def accidental_hits(true_ids: tf.Tensor, sampled_ids: tf.Tensor, excluded_ids: Any) -> tf.Tensor:
    """Finds the samples to mask in each row, bool `[rows, num_sampled]`.

    These are the accidental hits, which equal the row's positive, and the row's excluded ids.

    Args:
      true_ids: integers `[rows]`.
      sampled_ids: integers `[num_sampled]`.
      excluded_ids: see `contrastive_logits`.
    """
    true_ids, sampled_ids = tf.cast(true_ids, tf.int64), tf.cast(sampled_ids, tf.int64)
    hits = true_ids[:, None] == sampled_ids[None, :]
    if excluded_ids is None:
        return hits
    lists = as_id_lists("excluded_ids", excluded_ids, true_ids)
    return hits | among(lists, sampled_ids, tf.size(true_ids))
