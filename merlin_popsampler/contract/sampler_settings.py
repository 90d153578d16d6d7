"""Checks the arguments of samplers, and completes them from a schema or from counts."""

import warnings
from dataclasses import replace
from typing import Any, Dict, Iterable, Mapping, Optional, Union

from merlin_popsampler.core.checks import whole_number
from merlin_popsampler.core.distributions import Distribution, Empirical, distribution_from_config
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.popularity_curve import PopularityCurve
from merlin_popsampler.errors import PopSamplerError, SchemaError

from .caller import caller_level
from .counts import counted_items
from .metadata import PopularityMetadata
from .ranks_file import read_ids_by_rank
from .schema import column_popularity, find_item_column, operators_of, schema_of

DistributionLike = Union[str, Distribution, Mapping[str, Any]]
AUTO = "auto"
"""Selects the best distribution of a schema: the measured one, or else log-uniform."""


def sampler_kwargs_from_schema(
    source: Any, column: Optional[str], distortion: float, overrides: Mapping[str, Any]
) -> Dict[str, Any]:
    """Builds the arguments of a sampler's constructor for the item ids of a schema.

    If the schema states that ids are not in frequency order, `overrides` must name a distribution.
    If that distribution prefers low ids, a warning says so.

    Args:
      source: a Merlin Schema, Dataset, dataloader or fitted Workflow, or a path; see
        `read_popularity`.
      column: name of the item-id column; None finds it by its tag.
      distortion: power of the counts of the measured distribution.
      overrides: arguments that the caller passed, which take precedence. `distribution` may be
        "auto" (the default) or "empirical", for which the schema supplies the counts.

    Returns:
      Arguments by name. `item_ids` is among them if the schema names a file of ids by rank.

    Raises:
      SchemaError: see `read_popularity`; or the schema does not have the counts for
        `distribution`, or names a file of ids by rank that is absent or changed.
      PopSamplerError: `distortion` is not 1.0, and the distribution is not the measured one.

    Examples:
      >>> from merlin.schema import ColumnSchema, Schema, Tags
      >>> from merlin_popsampler.contract.schema import with_popularity
      >>> metadata = PopularityMetadata.from_counts([9, 5, 5], 3, "counted", 256)
      >>> column = with_popularity(ColumnSchema("item", [Tags.ITEM_ID]), metadata)
      >>> found = sampler_kwargs_from_schema(Schema([column]), None, 1.0, {})
      >>> found["min_id"], found["max_id"], found["distribution"]
      (3, 5, Empirical(size=3))
    """
    item = find_item_column(schema_of(source), column)
    metadata = _placed(column_popularity(item), source)
    wanted = overrides.get("distribution", AUTO)
    distribution = wanted
    if isinstance(wanted, str) and wanted in (AUTO, Empirical.name):
        distribution = _distribution_of_schema(metadata, item.name, wanted, distortion)
    if distortion != 1.0:
        distribution = _distorted(distribution, distortion)
    found = {
        **_ids_of_schema(metadata, item.name),
        "item_id_feature_name": item.name,
        **overrides,
        "distribution": distribution,
    }
    if not metadata.is_ranked:
        _warn_of_disorder(
            item.name,
            resolve_distribution(distribution, IdDomain(found["min_id"], found["max_id"])),
        )
    return found


def _placed(metadata: PopularityMetadata, source: Any) -> PopularityMetadata:
    """Names the file of ids by rank that a loaded workflow holds.

    The schema of the workflow names the file of its fit, which may be on another machine.
    """
    if metadata.ranks_digest is None or not hasattr(source, "output_node"):
        return metadata
    for operator in operators_of(source):
        for fitted in getattr(operator, "fits", {}).values():
            if fitted.metadata.ranks_digest == metadata.ranks_digest:
                return replace(metadata, ranks_path=fitted.placed_metadata.ranks_path)
    return metadata


def sampler_kwargs_from_counts(
    counts: Any, reserved_ids: Iterable[int], distortion: float, overrides: Mapping[str, Any]
) -> Dict[str, Any]:
    """Builds the arguments of a sampler's constructor for items whose occurrences are counted.

    Args:
      counts: see `popularity_from`.
      reserved_ids: see `popularity_from`.
      distortion: power of the counts of the measured distribution.
      overrides: arguments that the caller passed, which take precedence.

    Returns:
      Arguments by name. `item_ids` is among them if the ids are not in frequency order.

    Raises:
      PopSamplerError: see `popularity_from`; or `distortion` is not 1.0, and the distribution is
        not the measured one.

    Examples:
      >>> found = sampler_kwargs_from_counts({3: 5, 4: 9}, (), 1.0, {})
      >>> found["min_id"], found["max_id"], found["item_ids"].tolist()
      (3, 4, [4, 3])
    """
    items = counted_items(counts, reserved_ids)
    distribution = overrides.get("distribution", AUTO)
    if isinstance(distribution, str) and distribution in (AUTO, Empirical.name):
        distribution = Empirical(PopularityCurve.from_counts(items.counts))
    if distortion != 1.0:
        distribution = _distorted(distribution, distortion)
    found = {
        "max_id": int(items.ids.max()),
        "min_id": int(items.ids.min()),
        "distribution": distribution,
    }
    if not items.in_order:
        found["item_ids"] = items.ids
    return {**found, **overrides, "distribution": distribution}


def _ids_of_schema(metadata: PopularityMetadata, column: str) -> Dict[str, Any]:
    """Returns `min_id` and `max_id`, and `item_ids` if the ranks of the ids are in a file."""
    if metadata.ranks_digest is None:
        return {"max_id": metadata.max_id, "min_id": metadata.min_id}
    _distribution_of_schema(metadata, column, AUTO)  # raises an error if no item occurs any more
    ids = read_ids_by_rank(metadata, column)
    return {"max_id": int(ids.max()), "min_id": int(ids.min()), "item_ids": ids}


def resolve_distribution(distribution: DistributionLike, domain: IdDomain) -> Distribution:
    """Returns the distribution for a name, a configuration or a distribution object.

    Args:
      distribution: a registered name, the result of `get_config`, or a `Distribution`.
      domain: the ids that it must cover.

    Raises:
      PopSamplerError: the distribution is unknown, needs more than a name, or has another size; or
        there are no items.

    Examples:
      >>> resolve_distribution("log_uniform", IdDomain(3, 5))
      LogUniform(size=3)
    """
    if isinstance(distribution, str):
        distribution = {"name": distribution, "size": domain.size}
    if isinstance(distribution, Mapping):
        distribution = distribution_from_config(distribution)
    if not isinstance(distribution, Distribution):
        raise PopSamplerError(
            "Expected distribution to be a name such as 'log_uniform', or a Distribution. "
            f"Received: {distribution!r}. Take one of these, or leave it out."
        )
    if distribution.size != domain.size:
        raise PopSamplerError(
            f"Expected a distribution over the {domain.size} ids {domain.min_id} to "
            f"{domain.max_id}. Received: {distribution!r}. Build "
            "distribution, min_id and max_id from one schema, or from the same counts."
        )
    return distribution


def measured_distribution(distribution: DistributionLike, domain: IdDomain) -> Empirical:
    """Returns the distribution of in-batch negatives, which must be the measured one, undistorted.

    Args:
      distribution: see `resolve_distribution`.
      domain: the ids that it must cover.

    Raises:
      PopSamplerError: the distribution is not `Empirical` with `distortion=1.0`, or has another
        size.
    """
    found = resolve_distribution(distribution, domain)
    if not isinstance(found, Empirical) or found.distortion != 1.0:
        raise PopSamplerError(
            "Expected the measured distribution for in-batch negatives, which occur as often as "
            f"in the data. Received: {found!r}. Encode with FrequencyCategorify, or count "
            "with FrequencyOrder, and use InBatch.from_schema."
        )
    return found


def validate_seed(seed: Any) -> Optional[int]:
    """Returns a seed as a Python integer, or None.

    Raises:
      PopSamplerError: the seed is neither None nor an integer of 64 bits.

    Examples:
      >>> validate_seed(17.0), validate_seed(None)
      (17, None)
    """
    if seed is None:
        return None
    advice = "Pass an integer of 64 bits, or None for a seed of the framework's own."
    return whole_number("seed", seed, -(2**63), advice, 2**64 - 1)


def _distribution_of_schema(
    metadata: PopularityMetadata, column: str, wanted: str, distortion: float = 1.0
) -> Distribution:
    """Returns the best distribution; "empirical" or a distortion requires a schema with counts."""
    try:
        distribution = metadata.distribution()
    except SchemaError as error:
        instead = " Or pass a distribution that needs no frequency order, distribution='uniform'."
        raise SchemaError(
            f"Column {column!r}: {error}"
            f"{instead if wanted == AUTO and not metadata.is_ranked else ''}"
        ) from error
    if (wanted == Empirical.name or distortion != 1.0) and metadata.steps is None:
        raise SchemaError(
            f"Column {column!r}: expected the steps of its popularity. Received: none (evidence "
            f"{metadata.evidence!r}). Encode with FrequencyCategorify, or add FrequencyOrder. A "
            "sampler also takes distribution='log_uniform' without a distortion, but in-batch "
            "negatives do not."
        )
    return distribution


def _warn_of_disorder(column: str, distribution: Distribution) -> None:
    """Warns if the distribution prefers low ids, which are not the popular ones here."""
    first, last = distribution.prob([0, distribution.size - 1])
    if first > last:
        warnings.warn(
            f"Column {column!r}: its ids are not sorted by frequency, so that {distribution!r} "
            "draws low ids more often, not popular ones. Encode with FrequencyCategorify, use "
            "FrequencyOrder(on_violation='remap'), or pass distribution='uniform'.",
            stacklevel=caller_level(),
        )


def _distorted(distribution: Any, distortion: float) -> Distribution:
    if not isinstance(distribution, Empirical) or distribution.distortion != 1.0:
        raise PopSamplerError(
            "Expected distortion only with the measured distribution, since it is a power of the "
            f"counts. Received: distortion={distortion} with {distribution!r}. Leave one of them "
            "out, or build distributions.Empirical(steps, distortion) yourself."
        )
    return Empirical(distribution.steps, distortion)
