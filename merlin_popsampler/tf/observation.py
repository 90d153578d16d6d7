"""Computes the numbers of a training step that a `SamplingMonitor` reports, inside the step."""

from functools import partial
from typing import Any, Dict, Optional

import tensorflow as tf

from merlin_popsampler.core.sampling_numbers import SHARE_DRAWN, STEP_NUMBERS
from merlin_popsampler.core.scores import MASKED

from .id_lists import IdLists
from .logits import Candidates, accidental_hits, contrastive_logits, log_counts

BYTES = 2**24
"""Size of logits, 16 MB, that limits how many rows of a large batch are observed."""


class Observation:
    """Passes numbers from a layer to its monitor, in variables that Keras neither tracks nor saves.

    Args:
      every: number of training steps from one computation to the next.
      items: number of items in the catalog, to record which were drawn; None records nothing.

    Attributes:
      numbers: float32 `[4]`, the numbers of the last step that computed them, see `step_numbers`.
      drawn: bool `[items + 1]`, whether each rank was a candidate; the last entry stands for ids
        that are not items.
    """

    def __init__(self, every: int, items: Optional[int]) -> None:
        variable = partial(
            tf.Variable,
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        self.every = every
        self.numbers = variable(tf.fill([len(STEP_NUMBERS)], float("nan")))
        self.drawn = None if items is None else variable(tf.zeros([items + 1], tf.bool))
        self._steps = variable(tf.constant(0, tf.int64))

    def begin(self) -> None:
        """Makes the next step compute the numbers."""
        self._steps.assign(0)

    def add(
        self,
        queries: tf.Tensor,
        positive: Candidates,
        negative: Candidates,
        counting: tf.Tensor,
        domain: Any,
        **settings: Any,
    ) -> None:
        """Records the candidates of a step, and computes its numbers if they are due.

        Args:
          queries: floats `[rows, dim]`.
          positive: the positive of each row.
          negative: the negatives that all rows share.
          counting: bool `[rows]`, whether a row has an item.
          domain: the ids that stand for an item.
          **settings: see `step_numbers`.
        """
        if self.drawn is not None:
            ids = tf.cast(negative.ids, tf.int64)
            outside = int(self.drawn.shape[0]) - 1
            ranks = tf.where(domain.contains(ids), domain.rank(ids), outside)
            tf.raw_ops.ResourceScatterUpdate(
                resource=self.drawn.handle, indices=ranks, updates=tf.ones_like(ranks, tf.bool)
            )
        queries, *parts = tf.nest.map_structure(tf.stop_gradient, (queries, *positive, *negative))
        candidates = Candidates(*parts[:3]), Candidates(*parts[3:])
        compute = partial(step_numbers, queries, *candidates, counting, domain, **settings)
        due = tf.equal(self._steps % self.every, 0)
        self._steps.assign_add(1)
        self.numbers.assign(tf.cond(due, compute, self.numbers.read_value))

    def read(self) -> Dict[str, float]:
        """Returns the numbers by name."""
        found = dict(zip(STEP_NUMBERS, (float(value) for value in self.numbers.numpy())))
        if self.drawn is not None:
            found[SHARE_DRAWN] = float(self.drawn.numpy()[:-1].mean())
        return found


def step_numbers(
    queries: tf.Tensor,
    positive: Candidates,
    negative: Candidates,
    counting: tf.Tensor,
    domain: Any,
    temperature: float,
    excluded_ids: Optional[IdLists],
    correct_positive: bool,
    logq_strength: float,
    in_batch: bool,
) -> tf.Tensor:
    """Computes the numbers of `core.sampling_numbers.step_numbers`: float32 `[4]`, in that order.

    The arguments are those of `contrastive_logits`, and two more. `counting`, bool `[rows]`, tells
    whether the row's positive is an item. `in_batch` tells whether the negatives contain each row's
    own positive, which is not a hit.
    """
    corrections = [
        tf.where(domain.contains(negative.ids), log_counts(negative.counts, logq_strength), 0.0)
    ]
    if correct_positive:
        corrections.append(tf.where(counting, log_counts(positive.counts, logq_strength), 0.0))
    largest = tf.reduce_max(tf.abs(tf.concat([*corrections, [0.0]], 0)))
    without = tf.reduce_sum(tf.cast(~counting, tf.float32))

    rows = tf.maximum(BYTES // (4 * tf.maximum(tf.size(negative.ids), 1)), 1)
    rows = tf.minimum(rows, tf.size(counting))
    queries, counting, *parts = (each[:rows] for each in (queries, counting, *positive))
    if excluded_ids is not None:
        inside = excluded_ids.rows < rows
        ids = tf.where(inside, excluded_ids.ids, -1)
        excluded_ids = IdLists(ids, tf.where(inside, excluded_ids.rows, 0))
    arguments = (Candidates(*parts), negative, domain, temperature, excluded_ids)
    logits = contrastive_logits(queries, *arguments, correct_positive, logq_strength)[1]
    hits = accidental_hits(parts[1], negative.ids, excluded_ids)
    hits = tf.reduce_sum(tf.cast(hits, tf.float32), 1) - float(in_batch)
    sums, squares = (tf.reduce_logsumexp(each, 1) for each in (logits, 2.0 * logits))
    effective = tf.where(sums > 0.5 * MASKED, tf.exp(2.0 * sums - squares), 0.0)
    means = [tf.reduce_mean(tf.boolean_mask(each, counting)) for each in (hits, effective)]
    return tf.stack([*means, largest, without])
