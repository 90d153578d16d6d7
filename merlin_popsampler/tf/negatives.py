"""Combines sampled and in-batch negatives, and computes their joint expected counts."""

from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple, Union

import tensorflow as tf

from merlin_popsampler.contract.negatives import (
    domains_error,
    sampled_values_error,
    sources_error,
)
from merlin_popsampler.contract.sampler_settings import (
    DistributionLike,
    measured_distribution,
    sampler_kwargs_from_counts,
    sampler_kwargs_from_schema,
)
from merlin_popsampler.core.checks import flag
from merlin_popsampler.core.distributions import Empirical
from merlin_popsampler.core.expected_counts import build_expected_counts

from .expected_counts import expected_count
from .ids import integers
from .logits import Candidates
from .mapped_ids import add_domain, config_of_ids
from .sampler import PopularityBasedSampler
from .shared_layers import shareable

Source = Union[PopularityBasedSampler, "InBatch"]


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class InBatch(tf.keras.layers.Layer):  # type: ignore[misc]
    """Uses the positives of the other rows of a batch as negatives of a row.

    They occur as often as in the data, so their logQ correction needs the measured distribution.
    Among the other `rows - 1` rows, id d is expected `(rows - 1) p(d)` times.

    With `gather`, a training step uses the positives of all replicas of a `tf.distribute` strategy,
    whose numbers of rows may differ. `rows` is then the number of rows of all replicas. Loss and
    gradients of a `SampledSoftmax` equal those of one device with the joined batch, if samplers
    share their draws (`share_across_replicas=True`).

    Args:
      max_id: last id that stands for an item, inclusive.
      min_id: first id that stands for an item, inclusive.
      distribution: the measured distribution of the data, `distributions.Empirical` with
        `distortion=1.0`, or its configuration. `from_schema` and `from_counts` pass it.
      item_ids: see `PopularityBasedSampler`.
      gather: whether to use the positives of all replicas.
      **kwargs: arguments of a Keras layer.

    Raises:
      PopSamplerError: the distribution is not the measured one, or has another number of ids.

    Examples:
      >>> in_batch = InBatch.from_counts([3, 1, 2])
      >>> in_batch.expected_count([0, 1, 2], rows=7).numpy().tolist()
      [3.0, 1.0, 2.0]
    """

    domain: Any

    def __init__(
        self,
        max_id: int,
        min_id: int = 0,
        *,
        distribution: DistributionLike,
        item_ids: Any = None,
        gather: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gather = flag("gather", gather)
        self.domain = add_domain(self, min_id, max_id, item_ids)
        self.distribution = measured_distribution(distribution, self.domain)
        self._one_draw = build_expected_counts(self.distribution, 1, unique=False, outside=0.0)
        self.built = True

    @classmethod
    def from_schema(cls, schema: Any, column: Optional[str] = None, **settings: Any) -> "InBatch":
        """Builds the in-batch negatives for the item ids of a data set.

        Args:
          schema: see `PopularityBasedSampler.from_schema`.
          column: name of the item-id column; None finds it by its tag.
          **settings: `gather`, and arguments of a Keras layer.

        Raises:
          SchemaError: see `read_popularity`; or the schema has no measured counts.
        """
        found = sampler_kwargs_from_schema(schema, column, 1.0, {"distribution": Empirical.name})
        del found["item_id_feature_name"]
        return cls(**found, **settings)

    @classmethod
    def from_counts(
        cls, counts: Any, *, reserved_ids: Iterable[int] = (), **settings: Any
    ) -> "InBatch":
        """Builds the in-batch negatives from occurrences by item id, in any order.

        Args:
          counts: occurrences by integer id; see `popularity_from` for the forms.
          reserved_ids: ids that do not stand for an item, such as padding.
          **settings: `gather`, and arguments of a Keras layer.

        Raises:
          PopSamplerError: see `popularity_from`.
        """
        return cls(**sampler_kwargs_from_counts(counts, reserved_ids, 1.0, settings))

    def expected_count(self, ids: Any, rows: Any) -> tf.Tensor:
        """Returns how often ids are expected among the other rows of a batch.

        Args:
          ids: integers of any shape, dense.
          rows: integer scalar, the number of rows of the batch with an item.

        Returns:
          float32 of the ids' shape, `(rows - 1) p(id)`; 0.0 for reserved ids.
        """
        remaining = tf.cast(tf.maximum(rows - 1, 0), tf.float32)
        return remaining * expected_count(self._one_draw, self.domain.rank(integers(ids)))

    def get_config(self) -> Dict[str, Any]:
        return {
            **super().get_config(),
            "max_id": self.domain.max_id,
            "min_id": self.domain.min_id,
            "distribution": self.distribution.get_config(),
            "item_ids": config_of_ids(self.domain),
            "gather": self.gather,
        }


@tf.keras.utils.register_keras_serializable(package="merlin_popsampler")
class Mixture(tf.keras.layers.Layer):  # type: ignore[misc]
    """Combines negatives of several sources, with the logQ correction for all sources together.

    The expected count of an id is the sum of its expected counts over the sources, whichever source
    drew it. Repeats are kept. So the sum of `exp(score) / expected count` over the negatives is an
    unbiased estimate of the sum of `exp(score)` over the catalog without the row's positive.

    Args:
      sources: `PopularityBasedSampler`, and at most one `InBatch`, over the same ids; at least
        one source.
      **kwargs: arguments of a Keras layer.

    Raises:
      PopSamplerError: there are no sources, sources of another type, several `InBatch`, or sources
        over different ids.

    Examples:
      >>> sampler = PopularityBasedSampler.from_counts([3, 1, 2], max_num_samples=3)
      >>> mixture = Mixture([sampler, InBatch.from_counts([3, 1, 2])])

      The sampler draws each of 3 items once, and the 6 other rows of a batch add `6 p(id)`:

      >>> mixture.expected_count([0, 1, 2], rows=7).numpy().tolist()
      [4.0, 2.0, 3.0]
    """

    def __init__(self, sources: Sequence[Source], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # A tuple, since tf.train.Checkpoint leaves the elements of a list out, with Keras 3.
        self.sources = _checked(sources)
        self.domain = self.sources[0].domain
        self.built = True

    @property
    def in_batch(self) -> Optional[InBatch]:
        """The `InBatch` source, or None."""
        return next((source for source in self.sources if isinstance(source, InBatch)), None)

    @property
    def samplers(self) -> List[PopularityBasedSampler]:
        """The sources that are samplers."""
        return [source for source in self.sources if not isinstance(source, InBatch)]

    def sample_ids(self) -> tf.Tensor:
        """Draws the next batch of every sampler, int64 `[sum of max_num_samples]`."""
        drawn = [sampler.sample_ids() for sampler in self.samplers]
        return tf.concat(drawn, 0) if drawn else tf.zeros([0], tf.int64)

    def expected_count(self, ids: Any, rows: Any) -> tf.Tensor:
        """Returns how often ids are expected among the negatives of a row.

        Args:
          ids: integers of any shape, dense.
          rows: integer scalar, the number of rows of the batch with an item, for `InBatch`. Without
            that source it has no effect.

        Returns:
          float32 of the ids' shape, above 0. Ids that are never a negative get 1.0, a correction
          of 0.
        """
        ids = integers(ids)
        counts = [sampler.expected_count(ids) for sampler in self.samplers]
        return self._with_batch(counts, ids, rows)

    def _with_batch(self, counts: List[tf.Tensor], ids: Any, rows: Any) -> tf.Tensor:
        """Adds expected counts over samplers, and those in the batch if `InBatch` is a source."""
        outside = ~self.domain.contains(ids)
        in_batch = self.in_batch
        total = tf.add_n(
            [*counts, *([] if in_batch is None else [in_batch.expected_count(ids, rows)])]
        )
        return tf.where(outside | (total <= 0.0), 1.0, total)

    def checked_values(self, sampled_values: Any) -> Tuple[tf.Tensor, tf.Tensor]:
        """Converts ids and expected counts that the caller passes instead of new draws.

        Args:
          sampled_values: a pair of ids and expected counts over all samplers, both
            `[sum of max_num_samples]`.

        Returns:
          The ids (int64) and the expected counts (float32).

        Raises:
          PopSamplerError: the value is not such a pair, or has another length.
        """
        num = sum(sampler.max_num_samples for sampler in self.samplers)
        pair = sampled_values if isinstance(sampled_values, (tuple, list)) else (sampled_values,)
        if len(pair) == 2 and pair[1] is not None:
            ids = tf.cast(integers(pair[0], "sampled_values"), tf.int64)
            counts = tf.cast(pair[1], tf.float32)
            if all(part.shape.is_compatible_with([num]) for part in (ids, counts)) and num:
                return tf.ensure_shape(ids, [num]), tf.stop_gradient(tf.ensure_shape(counts, [num]))
        shapes = [str(getattr(part, "shape", type(part).__name__)) for part in pair]
        raise sampled_values_error(num, sampled_values, shapes)

    def candidates(
        self,
        true_ids: tf.Tensor,
        true_vectors: tf.Tensor,
        sampled_ids: tf.Tensor,
        sampled_vectors: tf.Tensor,
        sampled_counts: Optional[tf.Tensor] = None,
    ) -> Tuple[Candidates, Candidates]:
        """Joins draws and positives to the candidates of a batch, with their expected counts.

        Args:
          true_ids: integers `[rows]`, the positive of each row.
          true_vectors: floats `[rows, dim]`, the vectors of the positives. Zeros replace those of
            reserved ids, since the mask of a negative does not remove a NaN.
          sampled_ids: int64 `[n]`, from `sample_ids` or `checked_values`.
          sampled_vectors: floats `[n, dim]`, their vectors.
          sampled_counts: float32 `[n]`, their expected counts over all samplers; None computes
            them.

        Returns:
          The positive of each row, and the negatives that all rows share.
        """
        true_ids = tf.cast(integers(true_ids), tf.int64)
        counting = self.domain.contains(true_ids)
        true_vectors = tf.where(counting[:, None], true_vectors, tf.zeros_like(true_vectors))
        batch_ids, batch_vectors = true_ids, true_vectors
        gathers = self.in_batch is not None and self.in_batch.gather
        if gathers:
            batch_ids, batch_vectors = _of_all_replicas(true_ids, true_vectors)
        rows = tf.math.count_nonzero(self.domain.contains(batch_ids), dtype=tf.int32)
        ids = tf.concat([batch_ids, sampled_ids], 0)
        if sampled_counts is None:
            counts = self.expected_count(ids, rows)
        else:
            batch_counts = self.expected_count(batch_ids, rows)
            given = self._with_batch([sampled_counts], sampled_ids, rows)
            counts = tf.concat([batch_counts, given], 0)
        here = tf.size(batch_ids)
        true_counts = self.expected_count(true_ids, rows) if gathers else counts[:here]
        positive = Candidates(true_vectors, true_ids, true_counts)
        if not self.samplers:
            return positive, Candidates(batch_vectors, ids, counts)
        vectors = tf.cast(sampled_vectors, true_vectors.dtype)
        if self.in_batch is None:
            return positive, Candidates(vectors, sampled_ids, counts[here:])
        return positive, Candidates(tf.concat([batch_vectors, vectors], 0), ids, counts)

    def get_config(self) -> Dict[str, Any]:
        sources = [shareable(source) for source in self.sources]
        return {**super().get_config(), "sources": sources}

    @classmethod
    def from_config(cls, config: Dict[str, Any]) -> "Mixture":
        sources = map(tf.keras.layers.deserialize, config["sources"])
        return cls(**{**config, "sources": list(sources)})


def as_mixture(negatives: Any) -> Mixture:
    """Converts a source, a list of sources or a `Mixture` to a `Mixture`, which checks them."""
    return negatives if isinstance(negatives, Mixture) else Mixture(negatives)


def _of_all_replicas(ids: tf.Tensor, vectors: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
    """Joins the rows of all replicas; the gradient of a row is the sum over the replicas."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return ids, vectors
    # When Keras 3 builds a model, the shape of the result is not known.
    joined = context.all_gather(vectors, 0)
    return context.all_gather(ids, 0), tf.ensure_shape(joined, [None, *vectors.shape[1:]])


def _checked(sources: Any) -> Tuple[Source, ...]:
    """Returns the sources as a tuple, after checking that they can be mixed."""
    checked: List[Source] = list(sources) if isinstance(sources, (list, tuple)) else [sources]
    kinds = [type(source).__name__ for source in checked]
    fine = all(isinstance(source, (PopularityBasedSampler, InBatch)) for source in checked)
    if not (checked and fine and kinds.count("InBatch") <= 1):
        raise sources_error(kinds)
    domains = {source.domain for source in checked}
    if len(domains) > 1:
        raise domains_error(
            sorted(f"{each.size} from {each.min_id} to {each.max_id}" for each in domains)
        )
    return tuple(checked)
