"""ContrastiveOutput: Merlin Models' output with a loss that learns what the full softmax learns."""

from typing import Any, Dict, List, Optional, Tuple

import tensorflow as tf
from merlin.models.tf.core.prediction import Prediction
from merlin.models.tf.outputs import contrastive
from merlin.models.tf.outputs.base import DotProduct
from merlin.models.utils.constants import MIN_FLOAT

from merlin_popsampler.core.checks import fraction, positive_number, whole_number
from merlin_popsampler.tf.hits import count_ahead, own_scores, tie_threshold
from merlin_popsampler.tf.ids import integers
from merlin_popsampler.tf.item_table import losses_kept
from merlin_popsampler.tf.logits import Candidates, candidate_scores, clip_finite, corrected
from merlin_popsampler.tf.merlin_interfaces import check_item_weights
from merlin_popsampler.tf.metrics import NanMean
from merlin_popsampler.tf.negatives import Mixture
from merlin_popsampler.tf.whole_catalog import score_catalog

from .catalog_vectors import catalog_vectors
from .contrastive_settings import check_evaluation, check_settings, negatives_of
from .evaluation_mean import EvaluationMean
from .item_tower import ItemTower
from .log_probabilities import CandidateCrossEntropy, log_probabilities, ranked, targets_of
from .saving import is_saving


def no_metrics() -> List[Any]:
    """Merlin's default metrics give way to those of the output itself."""
    return []


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class ContrastiveOutput(contrastive.ContrastiveOutput):  # type: ignore[misc]
    """Merlin Models' `ContrastiveOutput` with another loss, and an evaluation on all items.

    It goes wherever Merlin's goes. In training a row's loss is that of `contrastive_logits`, in
    float32 under every precision policy, and the mean is over the rows whose positive stands for an
    item (not padding, null or out of vocabulary); they alone are learned from. The loss that does
    so is the default one, so compile the model without a loss. Any other sees log-probabilities of
    the candidates, the positive first, and takes its mean over all rows.

    An evaluation scores the whole catalog in blocks: `loss` and the metrics `cross_entropy` and
    `recall_at_<top_k>` are those of the full softmax. These two stand in for Merlin's default
    top-10 metrics. Merlin's top-k metrics that a model is compiled with see the ranking among all
    items too, down to place 1,000, and count rows without an item as misses. In training, and with
    `evaluate_on="candidates"`, all metrics are among the candidates, as in Merlin Models. Sample
    weights go into the loss and Merlin's weighted metrics, not into the output's own two.

    A positive's rank is the number of other items, or candidates, whose score is greater, equal or
    NaN; `recall_at_<top_k>` counts the ranks below `top_k`. Scores are compared before they are
    corrected, as a served model compares them. Merlin's metrics among candidates compare the
    corrected ones, and break ties by chance; a row whose loss is NaN is a miss there.

    Sampled ids get their vectors from a table, if `to_call` has one: a schema, an `EmbeddingTable`.
    A model of two towers scores its towers' vectors (`to_call` is None or `DotProduct()`, and
    `schema` the item id's): there the ids' features go through `candidate`, the model's own item
    tower. In a step it runs on the batch first and then on the samples, so batch normalization
    normalizes each by its own statistics, and its moving averages take in first the batch's and
    then the samples'. An evaluation encodes the catalog once, when it needs it, in the tower's mode
    of inference, and keeps it, `4 (max_id + 1) dim` bytes, until the metrics are reset.

    All settings, the tower and the place in the stream of draws are saved with a model;
    `item_features` is not. A model that was loaded serves, and with `evaluate_on="candidates"` it
    evaluates, uncorrected, on the positives of the batch; `set_item_features` makes it whole.
    Import this class before a model is loaded: Keras revives what it does not know as another.

    Args:
      to_call: as in Merlin Models; None is `DotProduct()`.
      negative_samplers: a `PopularityBasedSampler`, an `InBatch`, "in-batch" for the one of the
        target's schema, a list of these, or a `Mixture`. Merlin's own samplers have no expected
        counts for this loss and are refused.
      target_name: as in Merlin Models.
      pre: as in Merlin Models.
      post: as in Merlin Models, given log-probabilities; with `evaluate_on="candidates"` alone.
      logits_temperature: positive number; scores are divided by it before they are corrected.
      name: as in Merlin Models.
      default_loss: None for the one described.
      default_metrics_fn: function without arguments that gives further metrics.
      downscore_false_negatives: fixed: accidental hits are masked.
      false_negative_score: fixed, as they are masked.
      query_name: as in Merlin Models.
      candidate_name: as in Merlin Models.
      store_negative_ids: as in Merlin Models.
      logq_sampling_correction: fixed: samples are corrected for.
      correct_positive: see `contrastive_logits`.
      logq_strength: from 0 to 1, the strength of the correction; see `contrastive_logits`.
      candidate: the item tower, an `Encoder`. Where a model makes it itself, as
        `MatrixFactorizationModelV2` does, give it afterwards: `set_candidate`.
      item_features: an `ItemFeatures` of the tower's features; None if it needs the id alone.
      evaluate_on: "catalog" or "candidates"; an attribute, too, that can be set.
      top_k: of the recall.
      **kwargs: `schema`, a Schema of the item id alone where `to_call` has none, and Keras's
        arguments of a layer.

    Raises:
      PopSamplerError: settings that contradict each other, the loss or the features.
      SchemaError: "in-batch" without measured steps in the schema.

    Examples:
      >>> tower = mm.Encoder(items.schema, mm.MLPBlock([64]))
      >>> output = ContrastiveOutput(
      ...     None, sampler, schema=item_id_schema, candidate=tower, item_features=features
      ... )
      >>> model = mm.TwoTowerModelV2(query_tower, tower, outputs=output)
    """

    negative_samplers: Mixture

    def __init__(  # noqa: PLR0913, PLR0917 - the reference's signature
        self,
        to_call: Any,
        negative_samplers: Any,
        target_name: Optional[str] = None,
        pre: Any = None,
        post: Any = None,
        logits_temperature: float = 1.0,
        name: Optional[str] = None,
        default_loss: Any = None,
        default_metrics_fn: Any = no_metrics,
        downscore_false_negatives: bool = True,
        false_negative_score: float = MIN_FLOAT,
        query_name: str = "query",
        candidate_name: str = "candidate",
        store_negative_ids: bool = False,
        logq_sampling_correction: bool = True,
        *,
        correct_positive: bool = True,
        logq_strength: float = 1.0,
        candidate: Any = None,
        item_features: Any = None,
        evaluate_on: str = "catalog",
        top_k: int = 20,
        **kwargs: Any,
    ) -> None:
        check_settings(locals())
        super().__init__(
            to_call=DotProduct(query_name, candidate_name) if to_call is None else to_call,
            negative_samplers=None,
            target_name=target_name,
            pre=pre,
            post=post,
            name=name,
            default_loss=default_loss or CandidateCrossEntropy(),
            default_metrics_fn=default_metrics_fn,
            query_name=query_name,
            candidate_name=candidate_name,
            store_negative_ids=store_negative_ids,
            logq_sampling_correction=True,
            **kwargs,
        )
        # Given to Merlin Models, it would scale once more, after the correction.
        self.logits_temperature = positive_number(
            "logits_temperature", logits_temperature, "Pass what scores are to be divided by."
        )
        self.correct_positive = bool(correct_positive)
        self.logq_strength = fraction(
            "logq_strength", logq_strength, "Pass 1.0 for the whole correction."
        )
        self.evaluate_on = evaluate_on
        self.top_k = whole_number("top_k", top_k, 1, "Pass how many of the best items count.")
        self.candidate, self._item_features = candidate, item_features
        self.set_negative_samplers(negative_samplers)
        self._cross_entropy = EvaluationMean(self._forget, name="cross_entropy")
        self._recall = NanMean(name=f"recall_at_{self.top_k}")

    @property
    def evaluate_on(self) -> str:
        """See the class; another value holds from the next `compile` on."""
        return self._evaluate_on

    @evaluate_on.setter
    def evaluate_on(self, value: str) -> None:
        check_evaluation(value, self.post)
        self._evaluate_on = value

    def set_negative_samplers(self, negative_samplers: Any) -> None:
        """Other negatives, from the next trace on; see the class."""
        self.negative_samplers = negatives_of(negative_samplers, self.col_schema)
        self._wire()

    def set_candidate(self, candidate: Any) -> None:
        """The item tower, where the model has made it: `model.candidate_encoder`."""
        self.candidate = candidate
        self._wire()

    def set_item_features(self, item_features: Any) -> None:
        """The features of all items, which a model that was loaded does not have; see the class."""
        self._item_features = item_features
        self._wire()

    def _wire(self) -> None:
        domain, id_name = self.negative_samplers.domain, self.col_schema.name
        self._tower = ItemTower(self.candidate, self._item_features, domain, id_name)

    def _forget(self) -> None:
        self._tower.forget()

    def call(
        self,
        inputs: Any,
        features: Any = None,
        targets: Any = None,
        training: bool = False,
        testing: bool = False,
    ) -> Any:
        """Scores as in Merlin Models; in training and testing a `Prediction`, see the class."""
        if is_saving():  # what is traced so would hold the sampler and the items' features
            training = testing = False
        return super().call(inputs, features, targets, training, testing)

    def call_contrastive(
        self,
        inputs: Any,
        features: Any,
        targets: Any,
        training: bool = False,
        testing: bool = False,
    ) -> Prediction:
        """Log-probabilities of each row's candidates, the positive first, and their targets."""
        query = inputs[self.query_name] if isinstance(inputs, dict) else inputs
        query = getattr(query, "flat_values", query)
        ids = self._true_ids(features, targets)
        counting = self.negative_samplers.domain.contains(ids)
        # A row without an item has nothing to learn, whatever the loss.
        query = tf.where(counting[:, None], query, tf.zeros_like(query))
        if testing and self.evaluate_on == "catalog":
            losses, rank = self._on_catalog(query, ids, counting)
            outputs, stored = ranked(losses, rank, self.negative_samplers.domain.size), None
            targets = targets_of(counting, outputs)
        else:
            positive, negative = self._candidates(inputs, ids, counting, training)
            outputs, rank = self._on_candidates(query, positive, negative)
            losses = -outputs[:, 0]
            # Where a loss is NaN, the order of the columns would tell Merlin's metrics a hit.
            targets = targets_of(counting & ~tf.math.is_nan(losses), outputs)
            stored = negative.ids[:, None] if self.store_negative_ids else None
        weights = tf.cast(counting, tf.float32)
        self._cross_entropy.update_state(losses, weights)
        self._recall.update_state(tf.cast(rank < self.top_k, tf.float32), weights)
        return Prediction(outputs, targets, negative_candidate_ids=stored)

    def _true_ids(self, features: Any, targets: Any) -> tf.Tensor:
        """The positive of each row: int64 `[rows]`; of ragged targets what their mask lets pass."""
        ids = targets if self.has_candidate_weights else features
        ids = integers(ids[self.col_schema.name] if isinstance(ids, dict) else ids)
        if isinstance(ids, tf.RaggedTensor):
            mask = getattr(ids, "_keras_mask", None)
            if mask is not None:
                ids = tf.ragged.boolean_mask(ids, mask.with_row_splits_dtype(ids.row_splits.dtype))
            ids = ids.flat_values
        return tf.reshape(tf.cast(ids, tf.int64), [-1])

    def _candidates(
        self, inputs: Any, ids: tf.Tensor, counting: tf.Tensor, training: bool
    ) -> Tuple[Candidates, Candidates]:
        """Each row's positive, and the negatives that all rows share."""
        source = self.negative_samplers
        if self.has_candidate_weights:
            check_item_weights(self.to_call.embeddings, source.domain.cardinality)
            # An id that stands for no item may lie outside of the table.
            vectors = self.to_call.embedding_lookup(tf.where(counting, ids, source.domain.min_id))
            return source.candidates(ids, vectors, self.to_call.embedding_lookup)
        vectors = inputs[self.candidate_name]
        if training:
            self._tower.outdate()  # it is about to change
        elif source.samplers and not self._tower.is_ready:
            # What can be compared without features of other items: the rows with each other.
            vectors = tf.where(counting[:, None], vectors, tf.zeros_like(vectors))
            batch = Candidates(vectors, ids, tf.ones_like(ids, tf.float32))
            return batch, batch
        return source.candidates(ids, vectors, lambda ids: self._tower.encode(ids, training))

    def _on_candidates(
        self, query: tf.Tensor, positive: Candidates, negative: Candidates
    ) -> Tuple[tf.Tensor, tf.Tensor]:
        """Log-probabilities of each row's positive, then of all negatives; and the ranks."""
        domain = self.negative_samplers.domain
        scores = candidate_scores(query, positive, negative, self.logits_temperature)
        logits = corrected(
            scores, positive, negative, domain, self.correct_positive, self.logq_strength
        )
        own = clip_finite(positive.vectors)
        threshold = tie_threshold(own_scores(scores.query, own), scores.query, own)
        are_ranked = domain.contains(negative.ids) & ~scores.masked
        return log_probabilities(*logits), count_ahead(scores.negative, threshold, are_ranked)

    def _on_catalog(
        self, query: tf.Tensor, ids: tf.Tensor, counting: tf.Tensor
    ) -> Tuple[tf.Tensor, tf.Tensor]:
        """Loss and rank of each positive among all items."""
        domain = self.negative_samplers.domain
        if self.has_candidate_weights:
            check_item_weights(self.to_call.embeddings, domain.cardinality)
            vectors = catalog_vectors(self.to_call)
        else:
            vectors = self._tower.catalog(query.shape[-1])
        ids = tf.where(counting, ids, domain.min_id)
        with losses_kept(self):
            return score_catalog(query, ids, vectors, domain, self.logits_temperature)

    def get_config(self) -> Dict[str, Any]:
        config = {
            **super().get_config(),
            "logits_temperature": self.logits_temperature,
            "correct_positive": self.correct_positive,
            "logq_strength": self.logq_strength,
            "evaluate_on": self.evaluate_on,
            "top_k": self.top_k,
        }
        if self.candidate is not None:
            config["candidate"] = tf.keras.utils.serialize_keras_object(self.candidate)
        return config

    @classmethod
    def from_config(cls, config: Dict[str, Any]) -> "ContrastiveOutput":
        config = dict(config)
        if "candidate" in config:
            config["candidate"] = tf.keras.utils.deserialize_keras_object(config["candidate"])
        output: ContrastiveOutput = super().from_config(config)
        return output
