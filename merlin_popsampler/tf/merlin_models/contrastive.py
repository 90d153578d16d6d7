"""Defines the contrastive output of Merlin Models with an exact logQ correction."""

from typing import Any, Dict, Optional, Tuple, Union, cast

import tensorflow as tf
from merlin.models.tf.core.prediction import Prediction
from merlin.models.tf.outputs import contrastive
from merlin.models.tf.outputs.base import DotProduct
from merlin.models.utils.constants import MIN_FLOAT

from merlin_popsampler.core.checks import flag, fraction, positive_number, whole_number
from merlin_popsampler.tf.all_items import AllItems
from merlin_popsampler.tf.hard_negatives import hard_log_sums, hard_negatives
from merlin_popsampler.tf.hits import count_ahead, own_scores, tie_threshold
from merlin_popsampler.tf.id_lists import IdLists, join
from merlin_popsampler.tf.ids import integers
from merlin_popsampler.tf.item_table import losses_kept
from merlin_popsampler.tf.logits import (
    Candidates,
    candidate_scores,
    clip_finite,
    corrected,
    scale_by_temperature,
)
from merlin_popsampler.tf.merlin_interfaces import check_item_weights
from merlin_popsampler.tf.metrics import NanMean
from merlin_popsampler.tf.negatives import Mixture
from merlin_popsampler.tf.whole_catalog import score_catalog

from .batch_columns import check_column_name, column_lists
from .catalog_vectors import catalog_vectors
from .contrastive_settings import check_evaluation, check_negatives, check_settings, negatives_of
from .default_metrics import SavesMetricsByName, no_metrics
from .evaluation_mean import EvaluationMean
from .item_tower import ItemTower
from .log_probabilities import (
    CandidateCrossEntropy,
    log_probabilities,
    of_full_softmax,
    ranked,
    targets_of,
)
from .saving import is_saving


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class ContrastiveOutput(SavesMetricsByName, contrastive.ContrastiveOutput):  # type: ignore[misc]
    """Replaces the `ContrastiveOutput` of Merlin Models, with an exact logQ correction.

    In training, the loss of a row is that of `contrastive_logits`, in float32 under every precision
    policy. The mean is over the rows with an item (not padding, null or out of vocabulary), and
    only these rows train. Compile the model without a loss, since this loss is the default. Another
    loss gets log-probabilities of the candidates, the positive first, and averages over all rows.

    An evaluation scores the whole catalog in blocks. `loss` and the metrics `cross_entropy` and
    `recall_at_<top_k>` are those of the full softmax, and replace Merlin's default metrics. Top-k
    metrics of Merlin that are passed to `compile` also rank all items, down to rank 1,000. Rows
    without an item are misses in them. In training, and with `evaluate_on="candidates"`, metrics
    rank only the candidates, as in Merlin Models. Sample weights apply to the loss and to Merlin's
    weighted metrics, but not to `cross_entropy` and `recall_at_<top_k>`.

    The rank of a positive is the number of other items, or candidates, whose score is greater,
    equal or NaN. Scores are compared without the logQ correction, as in a served model. Merlin's
    metrics among candidates compare corrected scores, and break ties at random. A row whose loss is
    NaN is a miss there.

    If `to_call` has a table (a schema, an `EmbeddingTable`), sampled ids get their vectors from it.
    In a two-tower model, `to_call` is None or `DotProduct()`, and `schema` is that of the item id.
    The features of sampled ids then pass through `candidate`, the item tower. In a step, the tower
    runs on the batch, then on the samples. Batch normalization uses the statistics of each. An
    evaluation encodes the catalog once, in `4 (max_id + 1) dim` bytes.

    All settings, the tower and the position in the stream of draws are saved with a model, but not
    `item_features`. A loaded model serves, and evaluates with `evaluate_on="candidates"` on the
    positives of the batch, without corrections. Call `set_item_features` to train it. Import this
    class before loading a model, since Keras restores unknown classes as other ones.

    Args:
      to_call: the layer that scores, as in Merlin Models; None is `DotProduct()`.
      negative_samplers: a `PopularityBasedSampler`, an `InBatch`, "in-batch" for the `InBatch` of
        the target's schema, a list of these, a `Mixture`, or `AllItems`. The samplers of Merlin
        Models raise an error, since they have no expected counts for this loss.
      target_name: as in Merlin Models.
      pre: as in Merlin Models.
      post: layer that transforms the log-probabilities; only with `evaluate_on="candidates"`.
      logits_temperature: positive number; scores are divided by it before the logQ correction.
      name: as in Merlin Models.
      default_loss: a Keras loss; None for the loss described above.
      default_metrics_fn: function without arguments that returns further metrics. Register it with
        Keras: of another function, Merlin Models saves the bytecode, for one version of Python.
      downscore_false_negatives: must be True, since accidental hits are always masked.
      false_negative_score: must be the default, since accidental hits are always masked.
      query_name: as in Merlin Models.
      candidate_name: as in Merlin Models.
      store_negative_ids: as in Merlin Models.
      logq_sampling_correction: must be True, since the logQ correction is always applied.
      correct_positive: whether the logQ correction applies to the positive as well; see
        `contrastive_logits`.
      logq_strength: from 0 to 1, the strength of the logQ correction; see `contrastive_logits`.
      excluded: name of a column of features or targets with ids that are not negatives of a row,
        such as its history: one id or a list in each row. An evaluation leaves them out as well.
      hard_negatives: name of a column with hard negatives of each row, for training; see
        `SampledSoftmax`. They share the last column of log-probabilities, and are not ranked.
      candidate: the item tower, an `Encoder`. If the model creates it, as
        `MatrixFactorizationModelV2` does, pass it later by `set_candidate`.
      item_features: an `ItemFeatures` of the tower's features; None if it needs only the id.
      evaluate_on: "catalog" or "candidates"; the attribute of this name can be changed.
      top_k: number of best items that the recall counts, at least 1.
      **kwargs: `schema`, a Schema of the item id if `to_call` has none, and arguments of a Keras
        layer.

    Raises:
      PopSamplerError: settings contradict each other, the loss or the features.
      SchemaError: "in-batch" for a schema without measured counts.

    Examples:
      >>> import merlin.models.tf as mm
      >>> from merlin.schema import ColumnSchema, Schema, Tags
      >>> from merlin_popsampler import PopularityBasedSampler
      >>> domain = {"domain": {"min": 0, "max": 1002}}
      >>> item = ColumnSchema("item", [Tags.ITEM_ID, Tags.CATEGORICAL], domain, "int64")
      >>> user = ColumnSchema("user", [Tags.USER_ID, Tags.CATEGORICAL], domain, "int64")
      >>> sampler = PopularityBasedSampler(max_id=1002, min_id=3, max_num_samples=100)
      >>> output = ContrastiveOutput(item, sampler, logits_temperature=0.1)
      >>> query = mm.Encoder(Schema([user]), mm.MLPBlock([64]))
      >>> model = mm.RetrievalModelV2(query=query, output=output)
    """

    negative_samplers: Union[Mixture, AllItems]

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
        excluded: Optional[str] = None,
        hard_negatives: Optional[str] = None,
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
        # Merlin Models would scale a second time, after the correction.
        self.logits_temperature = positive_number(
            "logits_temperature", logits_temperature, "Pass what scores are to be divided by."
        )
        self.correct_positive = flag("correct_positive", correct_positive)
        self.logq_strength = fraction(
            "logq_strength", logq_strength, "Pass 1.0 for the whole correction."
        )
        check_column_name("excluded", excluded)
        check_column_name("hard_negatives", hard_negatives)
        self.excluded, self.hard_negatives = excluded, hard_negatives
        self.evaluate_on = evaluate_on
        self.top_k = whole_number("top_k", top_k, 1, "Pass how many of the best items count.")
        self._use(negative_samplers, candidate, item_features)
        self._cross_entropy = EvaluationMean(self._forget, name="cross_entropy")
        self._recall = NanMean(name=f"recall_at_{self.top_k}")

    @property
    def evaluate_on(self) -> str:
        """The evaluation, see the class; a change takes effect at the next `compile`."""
        return self._evaluate_on

    @evaluate_on.setter
    def evaluate_on(self, value: str) -> None:
        check_evaluation(value, self.post)
        self._evaluate_on = value

    def set_negative_samplers(self, negative_samplers: Any) -> None:
        """Changes the negatives, from the next trace on; see the argument of the class."""
        self._use(negative_samplers, self.candidate, self._item_features)

    def set_candidate(self, candidate: Any) -> None:
        """Sets the item tower, if the model has created it: `model.candidate_encoder`."""
        self._use(self.negative_samplers, candidate, self._item_features)

    def set_item_features(self, item_features: Any) -> None:
        """Sets the features of all items, for example in a loaded model; see the class."""
        self._use(self.negative_samplers, self.candidate, item_features)

    def _use(self, negative_samplers: Any, candidate: Any, item_features: Any) -> None:
        """Uses these from now on; if an error is raised, the output keeps what it has."""
        negatives = negatives_of(negative_samplers, self.col_schema)
        check_negatives(negatives, self.to_call)
        tower = ItemTower(candidate, item_features, negatives.domain, self.col_schema.name)
        self.negative_samplers, self._tower = negatives, tower
        self.candidate, self._item_features = candidate, item_features

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
        """Computes scores as in Merlin Models, or a `Prediction` in training and testing."""
        if is_saving():  # such a trace would contain the sampler and the item features
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
        """Computes log-probabilities of candidates, the positive first, and their targets."""
        given = inputs[self.query_name] if isinstance(inputs, dict) else inputs
        query = getattr(given, "flat_values", given)
        ids, domain = self._true_ids(features, targets), self.negative_samplers.domain
        counting = domain.contains(ids)
        # A row without an item must not train, with any loss.
        query = tf.where(counting[:, None], query, tf.zeros_like(query))
        # A reserved id may be outside of the table.
        safe_ids = tf.where(counting, ids, domain.min_id)
        excluded = column_lists("excluded", self.excluded, given, ids, features, targets)
        stored, rank = None, None
        if testing and (self.evaluate_on == "catalog" or self._is_full):
            losses, rank = self._on_catalog(query, safe_ids, excluded)
            outputs = ranked(losses, rank, domain.size)
            targets = targets_of(counting, outputs)
        elif self._is_full:
            losses = self._on_all_items(query, safe_ids, excluded)
            outputs = of_full_softmax(losses)
            targets = targets_of(counting, outputs)
        else:
            positive, negative = self._candidates(inputs, ids, safe_ids, counting, training)
            hard = None
            if training and self.hard_negatives is not None:
                batch = given, ids, features, targets
                hard = column_lists("hard_negatives", self.hard_negatives, *batch)
            outputs, rank = self._on_candidates(query, safe_ids, positive, negative, excluded, hard)
            losses = -outputs[:, 0]
            # For a NaN loss, the order of the columns would be a hit for Merlin's metrics.
            targets = targets_of(counting & ~tf.math.is_nan(losses), outputs)
            stored = negative.ids[:, None] if self.store_negative_ids else None
        weights = tf.cast(counting, tf.float32)
        self._cross_entropy.update_state(losses, weights)
        if rank is not None:
            self._recall.update_state(tf.cast(rank < self.top_k, tf.float32), weights)
        return Prediction(outputs, targets, negative_candidate_ids=stored)

    @property
    def _is_full(self) -> bool:
        return isinstance(self.negative_samplers, AllItems)

    def _true_ids(self, features: Any, targets: Any) -> tf.Tensor:
        """Returns the positives, int64 `[rows]`; of ragged targets those that are not masked."""
        ids = targets if self.has_candidate_weights else features
        ids = integers(ids[self.col_schema.name] if isinstance(ids, dict) else ids)
        if isinstance(ids, tf.RaggedTensor):
            mask = getattr(ids, "_keras_mask", None)
            if mask is not None:
                ids = tf.ragged.boolean_mask(ids, mask.with_row_splits_dtype(ids.row_splits.dtype))
            ids = ids.flat_values
        return tf.reshape(tf.cast(ids, tf.int64), [-1])

    def _candidates(
        self, inputs: Any, ids: tf.Tensor, safe_ids: tf.Tensor, counting: tf.Tensor, training: bool
    ) -> Tuple[Candidates, Candidates]:
        """Returns each row's positive, and the negatives that all rows share."""
        source = cast("Mixture", self.negative_samplers)
        if self.has_candidate_weights:
            check_item_weights(self.to_call.embeddings, source.domain.cardinality)
            vectors = self._vectors(safe_ids, training)
        else:
            vectors = inputs[self.candidate_name]
            if training:
                self._tower.outdate()  # since this step changes the tower
            elif source.samplers and not self._tower.is_ready:
                # Without item features, only the items of the batch have vectors.
                vectors = tf.where(counting[:, None], vectors, tf.zeros_like(vectors))
                batch = Candidates(vectors, ids, tf.ones_like(ids, tf.float32))
                return batch, batch
        drawn = source.sample_ids()
        sampled_vectors = self._vectors(drawn, training) if source.samplers else vectors[:0]
        return source.candidates(ids, vectors, drawn, sampled_vectors)

    def _on_candidates(
        self,
        query: tf.Tensor,
        safe_ids: tf.Tensor,
        positive: Candidates,
        negative: Candidates,
        excluded: Optional[IdLists],
        hard_lists: Optional[IdLists],
    ) -> Tuple[tf.Tensor, tf.Tensor]:
        """Computes log-probabilities of positives, then of negatives, and the ranks."""
        domain, temperature = self.negative_samplers.domain, self.logits_temperature
        masked = join(excluded, hard_lists)
        scores = candidate_scores(query, positive, negative, temperature, masked)
        logits = corrected(
            scores, positive, negative, domain, self.correct_positive, self.logq_strength
        )
        own = clip_finite(positive.vectors)
        threshold = tie_threshold(own_scores(scores.query, own), scores.query, own)
        left_out = scores.masked | ~domain.contains(negative.ids)
        rank = count_ahead(scores.negative, threshold, left_out)
        if hard_lists is None:
            return log_probabilities(*logits), rank
        hard = hard_negatives(hard_lists, safe_ids, domain, excluded)
        vectors = self._vectors(hard.safe_ids, training=True)
        return log_probabilities(*logits, hard_log_sums(query, hard, vectors, temperature)), rank

    def _vectors(self, ids: tf.Tensor, training: bool) -> tf.Tensor:
        if self.has_candidate_weights:
            return self.to_call.embedding_lookup(ids)
        return self._tower.encode(ids, training)

    def _on_all_items(
        self, query: tf.Tensor, safe_ids: tf.Tensor, excluded: Optional[IdLists]
    ) -> tf.Tensor:
        """Computes the losses of the full softmax, with a gradient."""
        negatives: Any = self.negative_samplers
        check_negatives(negatives, self.to_call)
        check_item_weights(self.to_call.embeddings, negatives.domain.cardinality)
        query = scale_by_temperature(query, self.logits_temperature)
        return negatives.losses(query, safe_ids, catalog_vectors(self.to_call), excluded)

    def _on_catalog(
        self, query: tf.Tensor, safe_ids: tf.Tensor, excluded: Optional[IdLists]
    ) -> Tuple[tf.Tensor, tf.Tensor]:
        """Computes loss and rank of each positive among all items."""
        domain = self.negative_samplers.domain
        if self.has_candidate_weights:
            check_item_weights(self.to_call.embeddings, domain.cardinality)
            vectors = catalog_vectors(self.to_call)
        else:
            vectors = self._tower.catalog(query.shape[-1])
        with losses_kept(self):
            return score_catalog(
                query, safe_ids, vectors, domain, self.logits_temperature, excluded
            )

    def get_config(self) -> Dict[str, Any]:
        config = {
            **super().get_config(),
            "logits_temperature": self.logits_temperature,
            "correct_positive": self.correct_positive,
            "logq_strength": self.logq_strength,
            "excluded": self.excluded,
            "hard_negatives": self.hard_negatives,
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
