"""Defines the constructors and properties that the samplers of all frameworks share."""

from typing import Any, Iterable, Optional, Type, TypeVar

from .sampler_settings import sampler_kwargs_from_counts, sampler_kwargs_from_schema

AnySampler = TypeVar("AnySampler", bound="CatalogSampler")


class CatalogSampler:
    """Provides the constructors and properties that the samplers of every framework have.

    Examples:
      >>> class ListSampler(CatalogSampler):
      ...     def __init__(self, max_id, min_id, distribution):
      ...         self.ids = list(range(min_id, max_id + 1))
      >>> ListSampler.from_counts({3: 9, 4: 5}).ids
      [3, 4]
    """

    domain: Any
    """An `IdDomain`, or an object with its methods if ids are not in frequency order."""
    _max_num_samples: int

    @classmethod
    def from_schema(
        cls: Type[AnySampler],
        schema: Any,
        column: Optional[str] = None,
        *,
        distortion: float = 1.0,
        **overrides: Any,
    ) -> AnySampler:
        """Builds the sampler for the item ids of a data set.

        Args:
          schema: a Merlin Schema, Dataset, Loader or fitted Workflow, or the path of a data set's
            folder or of a schema's file.
          column: name of the item-id column; None finds it by its tag.
          distortion: power of the counts in the measured distribution: 1.0 draws as often as
            counted, 0.75 is the choice of word2vec, 0.0 is uniform.
          **overrides: arguments of the constructor. The default of `distribution` is "auto": the
            measured distribution ("empirical") if the schema has steps, log-uniform otherwise.

        Raises:
          SchemaError: see `read_popularity`; or the ids are not in frequency order, and
            `distribution` is "auto" or "empirical".
          PopSamplerError: see the constructor; or `distortion` is not 1.0, and the distribution is
            not the measured one.
        """
        return cls(**sampler_kwargs_from_schema(schema, column, distortion, overrides))

    @classmethod
    def from_counts(
        cls: Type[AnySampler],
        counts: Any,
        *,
        reserved_ids: Iterable[int] = (),
        distortion: float = 1.0,
        **overrides: Any,
    ) -> AnySampler:
        """Builds the sampler from occurrences by item id, without NVTabular and without a schema.

        Ids may be in any order. Draws, expected counts, losses and evaluation use the caller's own
        ids.

        An item without a count is never drawn. As a positive it gets no logQ correction, and losses
        ignore its row.

        Args:
          counts: occurrences by integer id; see `popularity_from` for the forms.
          reserved_ids: ids that do not stand for an item, such as padding.
          distortion: power of the counts: 1.0 draws as often as counted, 0.75 is the choice of
            word2vec, 0.0 is uniform.
          **overrides: arguments of the constructor. The default of `distribution` is the measured
            one.

        Raises:
          PopSamplerError: see `popularity_from` and the constructor.
        """
        return cls(**sampler_kwargs_from_counts(counts, reserved_ids, distortion, overrides))

    @property
    def max_id(self) -> int:
        """Largest id that can be drawn."""
        return int(self.domain.max_id)

    @property
    def min_id(self) -> int:
        """Smallest id that can be drawn."""
        return int(self.domain.min_id)

    @property
    def max_num_samples(self) -> int:
        """Number of ids of one batch of draws."""
        return self._max_num_samples
