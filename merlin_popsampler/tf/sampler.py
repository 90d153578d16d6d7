"""PopularityBasedSampler: the Keras layer that draws negatives with their expected counts."""

import warnings
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type

import tensorflow as tf

from merlin_popsampler.contract.catalog_sampler import CatalogSampler
from merlin_popsampler.contract.sampler_settings import (
    DistributionLike,
    resolve_distribution,
    validate_seed,
)
from merlin_popsampler.core.checks import batch_size
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.draw_plan import plan_draws
from merlin_popsampler.core.expected_counts import ExpectedCounts, build_expected_counts
from merlin_popsampler.core.tables import probs_by_id

from . import merlin_interfaces, stream
from .expected_counts import expected_count
from .ids import integers, is_symbolic
from .mapped_ids import add_domain, config_of_ids
from .ranks import draw_ranks


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class PopularityBasedSampler(CatalogSampler, tf.keras.layers.Layer):  # type: ignore[misc]
    """Samples item ids by popularity, for losses over a part of the catalog.

    Ids in frequency order need no table: the distribution gives an id's probability from its rank,
    `id - min_id`. One object serves three callers:

    - plain TensorFlow: `sample_ids`, `expected_count`, `probability`, `sampled_values`, and a call
      with the ids of the batch, which answers as `sampled_values`;
    - Merlin Models' first interface, `MatrixFactorizationModel(samplers=[sampler])`: a call with
      `{"embeddings", "metadata"}` and `item_weights`;
    - Merlin Models' second, `ContrastiveOutput(negative_samplers=sampler)`: a call with a
      `Candidate`, and `with_sampling_probs`.

    Args:
      max_id: last id that can be drawn, inclusive.
      min_id: first id that can be drawn, inclusive; those below are reserved and never drawn.
      max_num_samples: ids of one batch of draws, at least 1; if `unique` at most the items.
      seed: integer; equal seeds give equal streams of draws. None takes one from
        `tf.random.set_seed` at the first draw or trace, or else from the system.
      item_id_feature_name: name of the item ids' column, in the first interface's metadata.
      unique: whether the ids of a batch are distinct.
      distribution: a registered distribution's name, "log_uniform" or "uniform" for example; an
        object of `distributions`, or its configuration. (The measured distribution needs its steps:
        see `from_schema`.)
      share_across_replicas: whether all replicas draw the same ids; else each draws its own.
      item_ids: integers `[items]`, the id of each rank, where ids are not in frequency order;
        `min_id` and `max_id` are the smallest and the largest. `from_counts` passes them. They are
        weights of the layer, not a part of its configuration: a layer that is made of that alone
        draws once its weights are loaded.
      **kwargs: Keras's arguments of a layer.

    Raises:
      PopSamplerError: arguments that contradict each other or the catalog.

    Examples:
      >>> sampler = PopularityBasedSampler.from_schema(Dataset("train/").schema)
      >>> loss = tf.nn.sampled_softmax_loss(..., sampled_values=sampler.sampled_values(true_ids))
    """

    def __init__(
        self,
        max_id: int,
        min_id: int = 0,
        max_num_samples: int = 100,
        seed: Optional[int] = None,
        item_id_feature_name: str = "item_id",
        *,
        unique: bool = True,
        distribution: DistributionLike = "log_uniform",
        share_across_replicas: bool = False,
        item_ids: Any = None,
        **kwargs: Any,
    ) -> None:
        stream.check_backend()
        # Keras would cast an embedding table whole, to look up a few of its rows.
        super().__init__(autocast=False, **kwargs)
        self.domain = add_domain(self, min_id, max_id, item_ids)
        self.distribution = resolve_distribution(distribution, self.domain)
        self.seed = validate_seed(seed)
        self.item_id_feature_name = item_id_feature_name
        self.unique = bool(unique)
        self.share_across_replicas = bool(share_across_replicas)
        self._first_key: Optional[int] = None
        self._traced = False
        self._stream = stream.add_stream(self, self.seed)
        self._one_draw = build_expected_counts(self.distribution, 1, unique=False)
        self.set_max_num_samples(max_num_samples)
        self.built = True

    @property
    def required_features(self) -> List[str]:
        """Columns that the first interface's scorer must put into the metadata."""
        return [self.item_id_feature_name]

    def set_max_num_samples(self, value: int) -> None:
        """Another number of samples, from the next trace on.

        Raises:
          PopSamplerError: no such number, or one that this distribution cannot draw.
        """
        num = batch_size("max_num_samples", value, self.distribution.size, self.unique)
        if self.unique and num > 1:
            plan_draws(self.distribution, num)  # refuses; traces find it made
        table = build_expected_counts(self.distribution, num, self.unique)
        if self._traced and num != self._max_num_samples:
            warnings.warn(
                f"max_num_samples is now {num}, but graphs that are traced already go on with "
                f"{self._max_num_samples}: compile the model again.",
                stacklevel=2,
            )
        self._max_num_samples, self._table = num, table

    def sample_ids(self) -> tf.Tensor:
        """The next batch of draws: int64 `[max_num_samples]`, ids from min_id to max_id.

        Inside a layer, a training step or a `tf.function` only: while a functional Keras model is
        being built, this would draw once, for ever. There, call the sampler, or `sampled_values`.
        """
        self._note_trace()
        key = self._first_key
        if key is None:
            key = self.__dict__["_first_key"] = stream.first_key(self.seed)
        place = stream.next_position(
            self._stream, key, self.share_across_replicas, self.seed is None
        )
        ranks = draw_ranks(self.distribution, *place, self._max_num_samples, self.unique)
        return self.domain.id(ranks)

    def expected_count(self, ids: Any) -> tf.Tensor:
        """Expected number of times that each id is in one batch of draws.

        Args:
          ids: integers of any shape, dense or ragged, or an input of a functional Keras model.

        Returns:
          float32 of the ids' shape, ragged where they are, under every precision policy: the
          inclusion probability if `unique`, else `max_num_samples * p`; 1.0 (a correction of 0) for
          ids never drawn.
        """
        return self._answer("expected_count", ids)

    def probability(self, ids: Any) -> tf.Tensor:
        """Probability that one draw gives an id: what a correction of in-batch negatives needs.

        Ids that come from the data, not from this sampler, are there as often as they are popular:
        with the measured distribution, undistorted, each is expected `(batch_size - 1) *
        probability(ids)` times among the other rows of a batch.

        Args:
          ids: as for `expected_count`.

        Returns:
          float32 of the ids' shape, ragged where they are; 0.0 for ids never drawn.
        """
        return self._answer("probability", ids)

    def sampled_values(self, true_ids: Any) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns draws with counts, as the `sampled_values` of `tf.nn.sampled_softmax_loss`.

        Args:
          true_ids: integers `[batch, num_true]`, dense or ragged, or an input of a functional Keras
            model, which then has this sampler as a layer.

        Returns:
          Sampled ids (int64 `[max_num_samples]`), expected counts of the true ids and of the
          sampled ids (float32 of their shapes).
        """
        answer: Tuple[tf.Tensor, tf.Tensor, tf.Tensor] = self._answer("sampled_values", true_ids)
        return answer

    def _answer(self, answer: str, ids: Any) -> Any:
        """By a call where ids are inputs of a model in the making, so that it has this layer."""
        return self(ids, answer=answer) if is_symbolic(ids) else self._answer_now(answer, ids)

    def _answer_now(self, answer: str, ids: Any) -> Any:
        if answer == "sampled_values":
            return self._draw_with_counts(ids)
        if answer == "probability":
            return self._counts_of_ids(ids, self._one_draw, 0.0)
        return self._counts_of_ids(ids, self._table, 1.0)

    def _counts_of_ids(self, ids: Any, table: ExpectedCounts, outside: float) -> tf.Tensor:
        self._note_trace()
        ids = integers(ids)
        if isinstance(ids, tf.RaggedTensor):
            return ids.with_flat_values(self._counts_of_ids(ids.flat_values, table, outside))
        return expected_count(table, self.domain.rank(tf.cast(ids, tf.int64)), outside)

    def _note_trace(self) -> None:
        # Keras deletes an attribute before it sets it anew: another thread would find none.
        if not tf.executing_eagerly():
            self.__dict__["_traced"] = True

    def _draw_with_counts(self, true_ids: Any) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        true_ids = integers(true_ids)
        if isinstance(true_ids, tf.RaggedTensor):
            sampled, true_counts, counts = self._draw_with_counts(true_ids.flat_values)
            return sampled, true_ids.with_flat_values(true_counts), counts
        sampled = self.sample_ids()
        # Looked up together: for so few ids, the number of ops is what costs.
        flat = tf.concat([sampled, tf.cast(tf.reshape(true_ids, [-1]), tf.int64)], 0)
        counts = self._counts_of_ids(flat, self._table, 1.0)
        true_counts = tf.reshape(counts[self._max_num_samples :], tf.shape(true_ids))
        true_counts = tf.ensure_shape(true_counts, true_ids.shape)
        return sampled, true_counts, counts[: self._max_num_samples]

    def get_distribution_probs(self) -> tf.Tensor:
        """Probability of one draw of every id: float32 `[max_id + 1]`, zero below min_id.

        It has the catalog's length, so it is for reports: training needs `expected_count` alone.

        Raises:
          PopSamplerError: more than a billion ids.
        """
        domain = self.domain
        if isinstance(domain, IdDomain):
            return tf.convert_to_tensor(probs_by_id(self.distribution, domain))
        by_rank = probs_by_id(self.distribution, IdDomain(0, domain.size - 1))
        ids = domain.id(tf.range(domain.size))
        return tf.scatter_nd(ids[:, None], by_rank, [domain.cardinality])

    def call(
        self,
        inputs: Any,
        item_weights: Any = None,
        features: Any = None,  # noqa: ARG002 - this and the rest: the reference's signature
        targets: Any = None,  # noqa: ARG002
        training: bool = False,  # noqa: ARG002
        testing: bool = False,  # noqa: ARG002
        answer: str = "sampled_values",
    ) -> Any:
        """Answers whoever calls; see the class. Draws alike in training and in testing.

        Plain ids are answered by the method that `answer` names: "sampled_values", or, without a
        draw, "expected_count" or "probability".
        """
        if merlin_interfaces.is_candidate(inputs):
            merlin_interfaces.check_no_squeeze(inputs.id, self._max_num_samples)
            return merlin_interfaces.sampled_candidate(inputs, self.sample_ids(), self.max_id)
        if not isinstance(inputs, Mapping):
            return self._answer_now(answer, inputs)
        name = self.item_id_feature_name
        merlin_interfaces.check_inputs(inputs, name)
        merlin_interfaces.check_no_squeeze(inputs["embeddings"], self._max_num_samples)
        return merlin_interfaces.like_batch(self.sample(item_weights), inputs, name, self.max_id)

    def sample(self, item_weights: Any) -> Any:
        """The first interface's answer: `EmbeddingWithMetadata` of the next batch of draws."""
        merlin_interfaces.check_item_weights(item_weights, self.domain.cardinality)
        ids = self.sample_ids()
        return merlin_interfaces.sampled_embeddings(item_weights, ids, self.item_id_feature_name)

    def with_sampling_probs(self, candidate: Any) -> Any:
        """The second interface's candidate, with expected counts as its `sampling_prob`."""
        return merlin_interfaces.candidate_with_counts(candidate, self.expected_count(candidate.id))

    def add(self, *_: Any, **__: Any) -> None:
        """Both interfaces offer the batch to be remembered; this sampler needs no memory."""

    def build(self, *_: Any) -> None:
        """Nothing to do: the stream is there from the start, whatever shapes come."""
        self.built = True

    def get_config(self) -> Dict[str, Any]:
        """Plain values that make this sampler again, with its distribution and without any file."""
        return {
            **super().get_config(),
            "max_id": self.max_id,
            "min_id": self.min_id,
            "max_num_samples": self.max_num_samples,
            "seed": self.seed,
            "item_id_feature_name": self.item_id_feature_name,
            "unique": self.unique,
            "distribution": self.distribution.get_config(),
            "share_across_replicas": self.share_across_replicas,
            "item_ids": config_of_ids(self.domain),
        }

    def __reduce__(self) -> Any:
        return _restored, (type(self), self.get_config(), self.get_weights())


def _restored(
    cls: Type[PopularityBasedSampler], config: Dict[str, Any], weights: List[Any]
) -> PopularityBasedSampler:
    """A pickled or copied sampler: its configuration and its place in the stream."""
    sampler: PopularityBasedSampler = cls.from_config(config)
    sampler.set_weights(weights)
    return sampler
