"""A sampler's arguments: checked, and taken from a schema. Every framework's sampler uses these."""

import warnings
from typing import Any, Dict, Iterable, Mapping, Optional, Union

from merlin_popsampler.core.checks import whole_number
from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.laws import Empirical, Law, law_from_config
from merlin_popsampler.core.steps import Steps
from merlin_popsampler.errors import PopSamplerError, SchemaError

from .counts import counted_items
from .metadata import PopularityMetadata
from .schema import column_popularity, find_item_column, schema_of

LawLike = Union[str, Law, Mapping[str, Any]]
AUTO = "auto"
"""Name for the best law that a schema carries."""


def arguments_from_schema(
    source: Any, column: Optional[str], distortion: float, overrides: Mapping[str, Any]
) -> Dict[str, Any]:
    """The constructor's arguments for the item ids of a schema.

    Args:
      source: a Merlin Schema, Dataset, dataloader or fitted Workflow, or a path; see
        `read_popularity`.
      column: name of the item id's column; None finds it.
      distortion: power of the counts, where the law is the measured one.
      overrides: arguments that the caller gives; `law` may also be "auto" (the default) or
        "empirical", which only a schema can answer.

    Raises:
      SchemaError: see `read_popularity`; no law of that kind in the schema. (Where ids are known
        to be out of order, a law by name is taken, with a warning if it has a popularity.)
      PopSamplerError: a distortion where there are no counts to distort.
    """
    item = find_item_column(schema_of(source), column)
    metadata = column_popularity(item)
    wanted = overrides.get("law", AUTO)
    law = wanted
    if isinstance(wanted, str) and wanted in (AUTO, Empirical.name):
        law = _law_of_schema(metadata, item.name, wanted)
    if distortion != 1.0:
        law = _distorted(law, distortion)
    found = {
        "max_id": metadata.max_id,
        "min_id": metadata.min_id,
        "item_id_feature_name": item.name,
        **overrides,
        "law": law,
    }
    if not metadata.frequency_ordered:
        _warn_of_disorder(item.name, law_over(law, IdDomain(found["min_id"], found["max_id"])))
    return found


def arguments_from_counts(
    counts: Any, reserved_ids: Iterable[int], distortion: float, overrides: Mapping[str, Any]
) -> Dict[str, Any]:
    """The constructor's arguments for items whose occurrences are counted.

    Args:
      counts: see `popularity_from`.
      reserved_ids: see `popularity_from`.
      distortion: power of the counts, where the law is the measured one.
      overrides: arguments that the caller gives.

    Returns:
      Arguments; `item_ids` is among them where the ids are not in frequency order.

    Raises:
      PopSamplerError: what `popularity_from` raises; a distortion where the law is another.
    """
    items = counted_items(counts, reserved_ids)
    law = overrides.get("law", AUTO)
    if isinstance(law, str) and law in (AUTO, Empirical.name):
        law = Empirical(Steps.from_counts(items.counts))
    if distortion != 1.0:
        law = _distorted(law, distortion)
    found = {"max_id": int(items.ids.max()), "min_id": int(items.ids.min()), "law": law}
    if not items.in_order:
        found["item_ids"] = items.ids
    return {**found, **overrides, "law": law}


def law_over(law: LawLike, domain: IdDomain) -> Law:
    """The law of a name, of a configuration, or the object itself, if it fits the ids.

    Raises:
      PopSamplerError: an unknown law, one that a name alone does not tell, one of another size, or
        no items.
    """
    if isinstance(law, str):
        law = {"name": law, "size": domain.size}
    if isinstance(law, Mapping):
        law = law_from_config(law)
    if not isinstance(law, Law):
        raise PopSamplerError(
            "Expected law to be a name such as 'log_uniform', or an object of laws. "
            f"Received: {law!r}. Take one of these, or leave it out."
        )
    if law.size != domain.size:
        raise PopSamplerError(
            f"Expected a law over the {domain.size} ids {domain.min_id} to {domain.max_id}. "
            f"Received: {law!r}. Build law, min_id and max_id from one schema."
        )
    return law


def seed_of(seed: Any) -> Optional[int]:
    """The seed as a Python integer, or None.

    Raises:
      PopSamplerError: neither None nor an integer of 64 bits.
    """
    if seed is None:
        return None
    advice = "Pass an integer of 64 bits, or None for a seed of the framework's own."
    return whole_number("seed", seed, -(2**63), advice, 2**64 - 1)


def _law_of_schema(metadata: PopularityMetadata, column: str, wanted: str) -> Law:
    """The best law that the schema carries."""
    try:
        law = metadata.law()
    except SchemaError as error:
        instead = " Or name the law to use all the same, as law='uniform'."
        raise SchemaError(
            f"Column {column!r}: {error}{'' if metadata.frequency_ordered else instead}"
        ) from error
    if wanted == Empirical.name and metadata.steps is None:
        raise SchemaError(
            f"Column {column!r}: expected the steps of its popularity. Received: none (evidence "
            f"{metadata.evidence!r}). Encode with FrequencyCategorify, or pass law='log_uniform'."
        )
    return law


def _warn_of_disorder(column: str, law: Law) -> None:
    """A law of ranks makes low ids likely; without the order these are not the popular ones."""
    first, last = law.prob([0, law.size - 1])
    if first > last:
        warnings.warn(
            f"Column {column!r}: its ids are not sorted by frequency, so that {law!r} draws low "
            "ids more often, not popular ones. Encode with FrequencyCategorify, use "
            "FrequencyOrder(on_violation='remap'), or pass law='uniform'.",
            stacklevel=4,
        )


def _distorted(law: Any, distortion: float) -> Law:
    if not isinstance(law, Empirical) or law.distortion != 1.0:
        raise PopSamplerError(
            "Expected distortion only for the measured law, whose counts it is a power of. "
            f"Received: distortion={distortion} with {law!r}. Leave law= out, or build "
            "laws.Empirical(steps, distortion) yourself."
        )
    return Empirical(law.steps, distortion)
