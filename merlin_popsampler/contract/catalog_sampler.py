"""What the samplers of all frameworks have in common: the ids of a catalog, and its schema."""

from typing import Any, Iterable, Optional, Type, TypeVar

from .sampler_settings import sampler_kwargs_from_counts, sampler_kwargs_from_schema

AnySampler = TypeVar("AnySampler", bound="CatalogSampler")


class CatalogSampler:
    """A sampler of the ids of a catalog, beside whatever its framework makes of it."""

    domain: Any
    """An `IdDomain`; where ids are in no order, a framework's map of them with the same methods."""
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
        """The sampler for a data set's item ids.

        Args:
          schema: a Merlin Schema, Dataset, Loader or fitted Workflow, or the path of a data set's
            folder or of its schema's file.
          column: name of the item id's column; None finds the one tagged so.
          distortion: power of the counts in the measured distribution: 1.0 draws as often as
            counted, 0.75 is word2vec's choice, 0.0 is uniform.
          **overrides: the constructor's arguments. `distribution` is "auto" unless given: the
            measured distribution ("empirical") where the schema has its steps, else log-uniform.

        Raises:
          SchemaError: what `read_popularity` raises, and ids that are not in frequency order,
            unless `distribution` names one that is wanted all the same.
          PopSamplerError: what the constructor raises, and a distortion of another distribution.
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

        Ids may be in any order: draws, expected counts, losses and evaluation use the caller's own
        ids.

        An item that is not counted is never drawn. As a positive it gets no correction, and a loss
        leaves its row out.

        Args:
          counts: occurrences by integer id; see `popularity_from` for the forms.
          reserved_ids: ids that do not stand for an item, such as padding.
          distortion: power of the counts: 1.0 draws as often as counted, 0.75 is word2vec's choice,
            0.0 is uniform.
          **overrides: the constructor's arguments. `distribution` is the measured one unless given.

        Raises:
          PopSamplerError: what `popularity_from` and the constructor raise.
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
        """Ids of one batch of draws."""
        return self._max_num_samples
