"""What the samplers of all frameworks have in common: the ids of a catalog, and its schema."""

from typing import Any, Optional, Type, TypeVar

from merlin_popsampler.core.domain import IdDomain

from .sampler_settings import arguments_from_schema

AnySampler = TypeVar("AnySampler", bound="CatalogSampler")


class CatalogSampler:
    """A sampler of the ids of a catalog, beside whatever its framework makes of it."""

    domain: IdDomain
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
          distortion: power of the counts in the measured law: 1.0 draws as often as counted, 0.75
            is word2vec's choice, 0.0 is uniform.
          **overrides: the constructor's arguments. `law` is "auto" unless given: the measured law
            ("empirical") where the schema has its steps, else log-uniform.

        Raises:
          SchemaError: what `read_popularity` raises, and ids that are not in frequency order,
            unless `law` names one that is wanted all the same.
          PopSamplerError: what the constructor raises, and a distortion of another law.
        """
        return cls(**arguments_from_schema(schema, column, distortion, overrides))

    @property
    def max_id(self) -> int:
        """Last id that can be drawn."""
        return self.domain.max_id

    @property
    def min_id(self) -> int:
        """First id that can be drawn."""
        return self.domain.min_id

    @property
    def max_num_samples(self) -> int:
        """Ids of one batch of draws."""
        return self._max_num_samples
