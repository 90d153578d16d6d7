"""Defines a Keras layer that trains on sampled negatives and evaluates on all items."""

from typing import Any, Dict, NamedTuple, Optional

import tensorflow as tf

from merlin_popsampler.core.checks import flag, fraction, positive_number, whole_number
from merlin_popsampler.errors import PopSamplerError

from . import stream
from .all_items import AllItems
from .blocked_logits import sampled_log_sums
from .hard_negatives import hard_log_sums, hard_negatives
from .id_lists import as_id_lists, join
from .ids import integers, is_symbolic
from .item_table import check_width, item_vectors, look_up_all, losses_kept
from .logits import loss_of_sums, row_weights, scale_by_temperature
from .metrics import NanMean
from .negatives import as_mixture
from .shared_layers import shareable
from .whole_catalog import score_catalog


class Batch(NamedTuple):
    """Holds the checked arguments of a call.

    Attributes:
      queries: floats `[rows, dim]`, 0 for a row without an item.
      ids: int64 `[rows]`, the positives.
      safe_ids: int64 `[rows]`, the positives, replaced by an item's id in rows without an item.
      counting: bool `[rows]`, whether the positive stands for an item.
      table: the result of `item_vectors`.
      excluded: `IdLists` of excluded ids, or None.
      hard: `IdLists` of hard negatives, or None.
    """

    queries: tf.Tensor
    ids: tf.Tensor
    safe_ids: tf.Tensor
    counting: tf.Tensor
    table: Any
    excluded: Any
    hard: Any


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class SampledSoftmax(tf.keras.layers.Layer):  # type: ignore[misc]
    """Computes the softmax cross-entropy of positives: sampled in training, full in evaluation.

    In training, it is the sampled softmax with logQ correction, see `contrastive_logits`. Rows with
    a reserved id (padding, null, out of vocabulary) have a loss of 0. The losses of the other rows
    are scaled, so that Keras's mean over the batch is the mean over these rows. In evaluation, it
    is the full softmax over the catalog, without scaling.

    The layer adds two metrics, means over the rows with an item: `cross_entropy` and
    `recall_at_<top_k>`. They are computed in evaluations only, and NaN during training. The rank of
    an item is the number of other items whose score is greater, equal or NaN. `recall_at_<top_k>`
    is the share of ranks below `top_k`. So a model of equal scores, or of NaN, has the worst
    recall.

    Args:
      negatives: a `PopularityBasedSampler`, an `InBatch`, a list of these, a `Mixture`, or
        `AllItems` for the full softmax.
      temperature: positive number; scores are divided by it.
      correct_positive: whether the logQ correction applies to the positive as well; see
        `contrastive_logits`.
      logq_strength: from 0 to 1, the strength of the logQ correction; see `contrastive_logits`.
      top_k: number of best items that the recall counts, at least 1.
      **kwargs: arguments of a Keras layer.

    Raises:
      PopSamplerError: see `Mixture`; or `temperature`, `logq_strength` or `top_k` is out of range.

    Examples:
      The output of a functional model is its loss. This works under Keras 2 and 3:

      >>> import numpy as np
      >>> from merlin_popsampler.tf import PopularityBasedSampler
      >>> sampler = PopularityBasedSampler(max_id=102, min_id=3, max_num_samples=20, seed=7)
      >>> users, items = tf.keras.Input([], dtype="int64"), tf.keras.Input([], dtype="int64")
      >>> queries = tf.keras.layers.Embedding(50, 8)(users)
      >>> table = tf.keras.layers.Embedding(sampler.max_id + 1, 8)
      >>> losses = SampledSoftmax(sampler, temperature=0.1)(queries, items, table)
      >>> model = tf.keras.Model([users, items], losses)
      >>> model.compile("adam", loss=lambda _, losses: losses)
      >>> user_ids, item_ids = np.arange(50), np.arange(50) + 3
      >>> history = model.fit([user_ids, item_ids], item_ids, verbose=0)
    """

    def __init__(
        self,
        negatives: Any,
        temperature: float = 1.0,
        *,
        correct_positive: bool = True,
        logq_strength: float = 1.0,
        top_k: int = 20,
        **kwargs: Any,
    ) -> None:
        stream.check_backend()
        # Losses are float32 under every policy, and Keras does not cast a table for a few rows.
        super().__init__(autocast=False, **{"dtype": "float32", **kwargs})
        is_full = isinstance(negatives, AllItems)
        self.negatives = negatives if is_full else as_mixture(negatives)
        self.temperature = positive_number(
            "temperature",
            temperature,
            "Pass 1.0 for scores as they are. To learn a temperature, divide the queries by it.",
        )
        self.correct_positive = flag("correct_positive", correct_positive)
        self.logq_strength = fraction(
            "logq_strength", logq_strength, "Pass 1.0 for the whole correction."
        )
        self.top_k = whole_number("top_k", top_k, 1, "Pass how many of the best items count.")
        self._item_table: Any = None
        self.observation: Any = None  # set by a SamplingMonitor
        self._cross_entropy = NanMean(name="cross_entropy")
        self._recall = NanMean(name=f"recall_at_{self.top_k}")

    def __call__(
        self,
        queries: Any,
        true_ids: Any,
        item_table: Any = None,
        excluded_ids: Any = None,
        training: Optional[bool] = None,
        *,
        hard_negative_ids: Any = None,
        sampled_values: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Calls the layer, see `call`, and makes an `Embedding` layer a part of this one.

        Keras would neither train nor share nor save a layer that is passed as an argument.
        """
        if isinstance(item_table, tf.keras.layers.Layer):
            self._adopt(item_table)
            item_table = None
        elif item_table is not None and is_symbolic(queries):
            raise PopSamplerError(
                "Expected an Embedding layer as item_table, since a functional model can neither "
                f"train nor save a variable. Received: {type(item_table).__name__}. Pass "
                "tf.keras.layers.Embedding(max_id + 1, dim)."
            )
        if not hasattr(queries, "shape"):
            raise PopSamplerError(
                f"Expected queries as a tensor [batch, dim]. Received: {type(queries).__name__}. "
                "Pass the output of your model, or tf.convert_to_tensor of a list."
            )
        no_table = item_table is None and self._item_table is None
        if no_table and type(self).call is SampledSoftmax.call:  # a subclass may bring its own
            item_vectors(None, self.negatives.domain.cardinality)  # raises before a build
        # Keras 3 accepts only tensors by position. An argument that is absent when a model is built
        # stays absent in the saved model, so None is not passed.
        given = {
            "item_table": item_table,
            "excluded_ids": excluded_ids,
            "training": training,
            "hard_negative_ids": hard_negative_ids,
            "sampled_values": sampled_values,
        }
        kwargs.update({name: value for name, value in given.items() if value is not None})
        return super().__call__(queries, true_ids, **kwargs)

    def _adopt(self, layer: Any) -> None:
        if self._item_table is None and not self.built:
            # Loading a model fills variables before the layer is called, so they must exist.
            if not layer.built:
                with tf.name_scope(layer.name):  # Keras 2's h5 files tell variables by their names
                    layer.build((None,))
            item_vectors(layer, self.negatives.domain.cardinality)  # before it is kept
            self._item_table = layer
        elif self._item_table is not layer:
            first = "a variable" if self._item_table is None else repr(self._item_table.name)
            raise PopSamplerError(
                f"Expected the item_table that {self.name!r} was first called with, {first}. "
                f"Received: {layer.name!r}. Make a SampledSoftmax for each table."
            )

    def call(
        self,
        queries: Any,
        true_ids: Any,
        item_table: Any = None,
        excluded_ids: Any = None,
        training: Optional[bool] = None,
        *,
        hard_negative_ids: Any = None,
        sampled_values: Any = None,
    ) -> tf.Tensor:
        """Computes the loss of each row.

        Args:
          queries: floats `[batch, dim]`.
          true_ids: integers `[batch]` or `[batch, 1]`, the positive of each row.
          item_table: item vectors `[max_id + 1 or more, dim]`. An `Embedding` layer becomes a part
            of this layer, and is trained and saved with it; a subclass with its own `call` is
            called. A variable or tensor is trained by its owner, and does not work in a functional
            model. After the first call with an `Embedding`, the argument may be left out.
          excluded_ids: ids that are not negatives of a row, such as its history: integers
            `[batch, n]` or `[1, n]`, dense or ragged.
          training: whether to compute the loss of training. Otherwise the whole catalog is scored,
            without gradients, in blocks of 64 MB.
          hard_negative_ids: ids that enter the softmax of a row with an expected count of 1:
            integers `[batch, n]` or `[1, n]`, dense or ragged. They may depend on the row, but not
            on the samples. An id that is sampled as well, or repeated, enters once. The row's
            positive, its excluded ids and reserved ids (padding) do not enter. An evaluation only
            checks this argument.
          sampled_values: a pair of ids `[n]` and expected counts `[n]`, in place of new draws, for
            example of a `Mixture` in the input pipeline. n is the sum of the samplers'
            `max_num_samples`. The counts are those over all samplers; the loss adds the expected
            counts in the batch, and computes those of the positives. Each id must have a row in the
            table. An evaluation only checks this argument.

        Returns:
          float32 `[batch]`, in nats; 0 for rows with a reserved id.

        Raises:
          PopSamplerError: queries or ids have another shape or type, the table has too few rows, or
            `sampled_values` has another length.
        """
        domain = self.negatives.domain
        table = item_vectors(
            self._item_table if item_table is None else item_table, domain.cardinality
        )
        ids = _one_a_row(true_ids, queries)
        counting = domain.contains(ids)
        # A NaN in the query of a padded row would reach the gradient of the table as 0 * NaN.
        queries = tf.where(counting[:, None], queries, tf.zeros_like(queries))
        # A reserved id may be outside of the table.
        safe_ids = tf.where(counting, ids, domain.min_id)
        if excluded_ids is not None:
            excluded_ids = as_id_lists("excluded_ids", excluded_ids, ids)
        if hard_negative_ids is not None:
            hard_negative_ids = as_id_lists("hard_negative_ids", hard_negative_ids, ids)
        if sampled_values is not None:
            sampled_values = self.negatives.checked_values(sampled_values)
        batch = Batch(queries, ids, safe_ids, counting, table, excluded_ids, hard_negative_ids)
        if not training:
            return self._evaluated(batch)
        if isinstance(self.negatives, AllItems):
            queries = scale_by_temperature(queries, self.temperature)
            losses = self.negatives.losses(queries, safe_ids, table, excluded_ids)
        else:
            losses = self._sampled(batch, sampled_values)
        return tf.where(counting, losses, 0.0) * row_weights(counting)

    def _sampled(self, batch: Batch, sampled_values: Any) -> tf.Tensor:
        domain, table = self.negatives.domain, batch.table
        sampled_ids, counts = sampled_values or (self.negatives.sample_ids(), None)
        ids, hard = {"true": batch.safe_ids}, None
        if self.negatives.samplers:
            ids["sampled"] = sampled_ids
        if batch.hard is not None:
            hard = hard_negatives(batch.hard, batch.safe_ids, domain, batch.excluded)
            ids["hard"] = hard.safe_ids
        vectors = dict(zip(ids, look_up_all(table, *ids.values())))
        check_width(batch.queries, vectors["true"])
        sampled_vectors = vectors.get("sampled", vectors["true"][:0])
        positive, negative = self.negatives.candidates(
            batch.ids, vectors["true"], sampled_ids, sampled_vectors, counts
        )
        left_out = join(batch.excluded, batch.hard)
        if self.observation is not None and not tf.distribute.in_cross_replica_context():
            self.observation.add(
                batch.queries,
                positive,
                negative,
                batch.counting,
                domain,
                temperature=self.temperature,
                excluded_ids=left_out,
                correct_positive=self.correct_positive,
                logq_strength=self.logq_strength,
                in_batch=self.negatives.in_batch is not None,
            )
        sums = sampled_log_sums(
            batch.queries,
            positive,
            negative,
            domain,
            self.temperature,
            left_out,
            self.correct_positive,
            self.logq_strength,
        )
        if hard is None:
            return loss_of_sums(*sums)
        hard_sums = hard_log_sums(batch.queries, hard, vectors["hard"], self.temperature)
        return loss_of_sums(*sums, hard=hard_sums)

    def _evaluated(self, batch: Batch) -> tf.Tensor:
        with losses_kept(self):
            losses, rank = score_catalog(
                batch.queries,
                batch.safe_ids,
                batch.table,
                self.negatives.domain,
                self.temperature,
                batch.excluded,
            )
        if not tf.distribute.in_cross_replica_context():  # a model is only built in that context
            weights = tf.cast(batch.counting, tf.float32)
            self._cross_entropy.update_state(losses, weights)
            self._recall.update_state(tf.cast(rank < self.top_k, tf.float32), weights)
        return tf.where(batch.counting, _not_trainable(losses, batch.queries), 0.0)

    def get_config(self) -> Dict[str, Any]:
        return {
            **super().get_config(),
            "negatives": shareable(self.negatives),
            "item_table": self._item_table and shareable(self._item_table),
            "temperature": self.temperature,
            "correct_positive": self.correct_positive,
            "logq_strength": self.logq_strength,
            "top_k": self.top_k,
        }

    @classmethod
    def from_config(cls, config: Dict[str, Any]) -> "SampledSoftmax":
        config = dict(config)
        table = config.pop("item_table")
        config["negatives"] = tf.keras.layers.deserialize(config["negatives"])
        layer = cls(**config)
        if table:
            layer._adopt(tf.keras.layers.deserialize(table))
        return layer


def _not_trainable(losses: tf.Tensor, queries: tf.Tensor) -> tf.Tensor:
    """Returns the losses of an evaluation, whose gradient raises an error and is not just absent.

    Keras 3 would fit a model without it, and change no weight.
    """
    guarded = tf.raw_ops.PreventGradient(
        input=queries[:, 0],
        message="Expected training=True where a gradient is taken, since an evaluation has none. "
        "Received: training=None or False. Pass training=True in a loop of your own. To fit a "
        "subclassed model with Keras 3, give its call the argument training=None.",
    )
    never = tf.zeros_like(losses, tf.bool)
    return tf.where(never, tf.cast(guarded, losses.dtype), losses)


def _one_a_row(true_ids: Any, queries: Any) -> tf.Tensor:
    ids, shape = integers(true_ids, "true_ids"), tf.TensorShape(queries.shape)
    if (
        isinstance(ids, tf.RaggedTensor)
        or ids.shape.rank not in (1, 2)
        or ids.shape[1:] not in ([], [1])
        or shape.rank != 2
        or not shape[:1].is_compatible_with(ids.shape[:1])
    ):
        raise PopSamplerError(
            "Expected one item a row, ids [batch] or [batch, 1] for queries [batch, dim]. "
            f"Received: {ids.shape} for {shape}. If an axis of the queries has length 1, drop it, "
            "or make the Input with shape []. Repeat the rows whose query has several items: "
            "merlin_popsampler.tf.one_positive_a_row does so. Reshape the positions of sessions to "
            "rows, queries to [-1, dim] and ids to [-1]."
        )
    return tf.reshape(tf.cast(ids, tf.int64), [-1])
