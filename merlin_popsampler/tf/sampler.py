"""Defines the Keras layer that draws negatives and computes their expected counts."""

import warnings
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type

import tensorflow as tf

from merlin_popsampler.contract.catalog_sampler import CatalogSampler
from merlin_popsampler.contract.sampler_settings import (
    DistributionLike,
    resolve_distribution,
    validate_seed,
)
from merlin_popsampler.core.checks import flag
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.draws import make_draws
from merlin_popsampler.core.expected_counts import ExpectedCounts, build_expected_counts
from merlin_popsampler.core.tables import probs_by_id
from merlin_popsampler.errors import PopSamplerError

from . import merlin_interfaces, stream
from .expected_counts import expected_count
from .ids import integers, is_symbolic
from .mapped_ids import add_domain, config_of_ids
from .ranks import draw_ranks
from .tracing import as_written


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class PopularityBasedSampler(CatalogSampler, tf.keras.layers.Layer):  # type: ignore[misc]
    """Samples item ids by popularity, as negatives of a sampled softmax.

    Ids in frequency order need no table, since the probability of an id follows from its rank,
    `id - min_id`. The position in the stream of draws is a weight of the layer, so a restored model
    continues it. One object supports three interfaces:

    - TensorFlow and Keras: `sample_ids`, `expected_count`, `probability`, `sampled_values`, and a
      call with the positives, which returns `sampled_values`;
    - an `ItemSampler` of Merlin Models, for `MatrixFactorizationModel(samplers=[sampler])`: a call
      with `{"embeddings", "metadata"}` and `item_weights`;
    - a `CandidateSampler` of Merlin Models, for `ContrastiveOutput(negative_samplers=sampler)`: a
      call with a `Candidate`, and `with_sampling_probs`.

    Args:
      max_id: last id that can be drawn, inclusive.
      min_id: first id that can be drawn, inclusive; smaller ids are reserved and never drawn.
      max_num_samples: number of ids in a batch of draws, at least 1; at most the number of items if
        `unique`.
      seed: integer; equal seeds give equal streams of draws. None takes one from
        `tf.random.set_seed` at the first draw or trace, or else from the system.
      item_id_feature_name: name of the item-id column in the metadata of an `ItemSampler`.
      unique: whether the ids of a batch are distinct (without replacement).
      distribution: the proposal distribution: a registered name, such as "log_uniform" or
        "uniform", an object of `distributions`, or its configuration. For the measured
        distribution, use `from_schema` or `from_counts`.
      share_across_replicas: whether all replicas draw the same ids. By default they draw different
        ids.
      item_ids: integers `[items]`, the id of each popularity rank, if ids are not in frequency
        order. `min_id` and `max_id` are the smallest and the largest of them. `from_counts` passes
        them. They are weights of the layer, not a part of its configuration, so a layer from a
        configuration can draw only after its weights are loaded.
      **kwargs: arguments of a Keras layer.

    Raises:
      PopSamplerError: an argument is out of range, or arguments contradict each other.

    Examples:
      >>> sampler = PopularityBasedSampler(max_id=1002, min_id=3, max_num_samples=50, seed=17)
      >>> sampled_ids, true_counts, sampled_counts = sampler.sampled_values([[3], [900]])
      >>> len(set(sampled_ids.numpy().tolist())), true_counts.shape
      (50, TensorShape([2, 1]))

      The measured distribution, of counts by id:

      >>> sampler = PopularityBasedSampler.from_counts({7: 50, 8: 90, 3: 10}, max_num_samples=1)
      >>> print(sampler.expected_count([8, 7, 3]).numpy().round(4))
      [0.6    0.3333 0.0667]
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
        self.unique = flag("unique", unique)
        self.share_across_replicas = flag("share_across_replicas", share_across_replicas)
        self._first_key: Optional[int] = None
        self._traced = False
        self._stream = stream.add_stream(self, self.seed)
        self._one_draw = build_expected_counts(self.distribution, 1, unique=False, outside=0.0)
        self.set_max_num_samples(max_num_samples)
        self.built = True

    @property
    def required_features(self) -> List[str]:
        """Names of the columns that Merlin Models puts into the metadata for an `ItemSampler`."""
        return [self.item_id_feature_name]

    def set_max_num_samples(self, value: int) -> None:
        """Changes the number of samples, from the next trace on; traced graphs keep the old one.

        Args:
          value: the new `max_num_samples`, in the range of the constructor's argument.

        Raises:
          PopSamplerError: the number is out of range, or distinct draws need more than 2**31 - 1
            random numbers.
        """
        draws = make_draws(self.distribution, value, self.unique)
        num = draws.num_sampled
        table = build_expected_counts(self.distribution, num, self.unique)
        if self._traced and num != self._max_num_samples:
            warnings.warn(
                f"max_num_samples is now {num}, but graphs that are traced already go on with "
                f"{self._max_num_samples}: compile the model again.",
                stacklevel=2,
            )
        self._max_num_samples, self._draws, self._table = num, draws, table

    @as_written
    def sample_ids(self) -> tf.Tensor:
        """Draws the next batch, int64 `[max_num_samples]`, ids from `min_id` to `max_id`.

        Do not call it while a functional Keras model is built: it would draw once, and the ids
        would be constants of the model. Call the sampler or `sampled_values` with inputs of the
        model instead.
        """
        self._note_trace()
        key = self._first_key
        if key is None:
            key = self.__dict__["_first_key"] = stream.first_key(self.seed)
        key_and_position = stream.next_position(
            self._stream, key, self.share_across_replicas, self.seed is None
        )
        return self.domain.id(draw_ranks(self._draws, *key_and_position))

    def expected_count(self, ids: Any) -> tf.Tensor:
        """Returns how often each id is expected in a batch of draws.

        Args:
          ids: integers of any shape, dense or ragged, or an input of a functional Keras model.

        Returns:
          float32 of the shape of `ids`, ragged if `ids` are, under every precision policy. It is
          the inclusion probability if `unique`, and `max_num_samples * p` otherwise. Ids that are
          never drawn get 1.0, a correction of 0.
        """
        return self._answer("expected_count", ids)

    def probability(self, ids: Any) -> tf.Tensor:
        """Returns the probability of each id in one draw, for your own corrections.

        In-batch negatives come from the data, not from this sampler. `InBatch` computes their
        expected counts.

        Args:
          ids: see `expected_count`.

        Returns:
          float32 of the shape of `ids`, ragged if `ids` are; 0.0 for ids that are never drawn.
        """
        return self._answer("probability", ids)

    def sampled_values(self, true_ids: Any) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Draws a batch with expected counts, as `tf.nn.sampled_softmax_loss(sampled_values=...)`.

        Args:
          true_ids: integers `[batch, num_true]`, the positives, dense or ragged; or an input of a
            functional Keras model, of which this sampler becomes a layer.

        Returns:
          Sampled ids (int64 `[max_num_samples]`), and the expected counts of the true ids and of
          the sampled ids (float32 of their shapes).
        """
        answer: Tuple[tf.Tensor, tf.Tensor, tf.Tensor] = self._answer("sampled_values", true_ids)
        return answer

    def _answer(self, answer: str, ids: Any) -> Any:
        """Calls the layer if ids are inputs of a functional model, so that it becomes a part of it.

        Args:
          answer: name of the method, see `call`.
          ids: the ids.
        """
        return self(ids, answer=answer) if is_symbolic(ids) else self._answer_now(answer, ids)

    def _answer_now(self, answer: str, ids: Any) -> Any:
        ids = integers(ids)
        if answer == "sampled_values":
            return self._draw_with_counts(ids)
        if answer == "probability":
            return self._counts_of_ids(ids, self._one_draw)
        if answer == "expected_count":
            return self._counts_of_ids(ids, self._table)
        raise PopSamplerError(
            "Expected answer to be 'sampled_values', 'expected_count' or 'probability'. Received: "
            f"{answer!r}. Call sample_ids() for draws without expected counts."
        )

    @as_written  # not their callers, since a subclass may override what these call
    def _counts_of_ids(self, ids: Any, table: ExpectedCounts) -> tf.Tensor:
        self._note_trace()
        if isinstance(ids, tf.RaggedTensor):
            return ids.with_flat_values(self._counts_of_ids(ids.flat_values, table))
        return expected_count(table, self.domain.rank(tf.cast(ids, tf.int64)))

    def _note_trace(self) -> None:
        # Keras deletes an attribute before it sets it anew: another thread would find none.
        if not tf.executing_eagerly():
            self.__dict__["_traced"] = True

    def _draw_with_counts(self, true_ids: Any) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        if isinstance(true_ids, tf.RaggedTensor):
            sampled, true_counts, counts = self._draw_with_counts(true_ids.flat_values)
            return sampled, true_ids.with_flat_values(true_counts), counts
        sampled = self.sample_ids()
        # One look-up for all ids, since for few ids the number of ops determines the time.
        flat = tf.concat([sampled, tf.cast(tf.reshape(true_ids, [-1]), tf.int64)], 0)
        counts = self._counts_of_ids(flat, self._table)
        counts, true_counts = tf.split(counts, [self._max_num_samples, -1])
        true_counts = tf.reshape(true_counts, tf.shape(true_ids))
        return sampled, tf.ensure_shape(true_counts, true_ids.shape), counts

    def get_distribution_probs(self) -> tf.Tensor:
        """Returns the probability of every id in one draw, float32 `[max_id + 1]`.

        It is 0 for reserved ids. It has the length of the catalog, so use it for reports. Training
        needs only `expected_count`.

        Raises:
          PopSamplerError: there are more than a billion ids.
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
        """Draws, or looks up expected counts, by one of the three interfaces; see the class.

        The result is the same in training and testing.

        Args:
          inputs: a tensor of ids (Keras 3 refuses lists), or the inputs of an interface of Merlin
            Models.
          item_weights: item embeddings `[max_id + 1 or more, dim]`, for an `ItemSampler`.
          features: ignored.
          targets: ignored.
          training: ignored.
          testing: ignored.
          answer: for ids, the method whose result is returned: "sampled_values", or
            "expected_count" or "probability", which do not draw.

        Raises:
          PopSamplerError: `answer` is another name, or the inputs do not fit the interface.
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
        """Draws the next batch as an `EmbeddingWithMetadata`, the result of an `ItemSampler`."""
        merlin_interfaces.check_item_weights(item_weights, self.domain.cardinality)
        ids = self.sample_ids()
        return merlin_interfaces.sampled_embeddings(item_weights, ids, self.item_id_feature_name)

    def with_sampling_probs(self, candidate: Any) -> Any:
        """Returns a copy of a `Candidate` with expected counts, as a `CandidateSampler` does."""
        return merlin_interfaces.candidate_with_counts(candidate, self.expected_count(candidate.id))

    def add(self, *_: Any, **__: Any) -> None:
        """Does nothing, since this sampler does not cache batches."""

    def build(self, *_: Any) -> None:
        """Does nothing, since the constructor creates the stream."""
        self.built = True

    def get_config(self) -> Dict[str, Any]:
        """Returns plain values from which `from_config` builds an equal sampler."""
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
    """Restores a pickled or copied sampler at its position in the stream."""
    sampler: PopularityBasedSampler = cls.from_config(config)
    sampler.set_weights(weights)
    return sampler
