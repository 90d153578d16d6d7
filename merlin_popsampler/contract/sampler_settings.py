"""The sampler's arguments, checked, and completed from a schema: no TensorFlow of its own."""

import operator
from typing import Any, Dict, Mapping, Optional, Union

from merlin_popsampler.core.domain import IdDomain
from merlin_popsampler.core.laws import Empirical, Law, LogUniform, Uniform, law_from_config
from merlin_popsampler.errors import PopSamplerError, SchemaError

from .metadata import PopularityMetadata
from .schema import column_popularity, find_item_column, schema_of

LawLike = Union[str, Law, Mapping[str, Any]]


def schema_arguments(source: Any, column: Optional[str], overrides: Dict[str, Any]) -> Any:
    """The constructor's arguments for the item ids of a schema; `law` is "auto" unless given."""
    item = find_item_column(schema_of(source), column)
    metadata = column_popularity(item)
    arguments = {
        "max_id": metadata.max_id,
        "min_id": metadata.min_id,
        "item_id_feature_name": item.name,
        "law": "auto",
        **overrides,
    }
    if arguments["law"] in ("auto", Empirical.name):
        law = _measured_law(metadata, item.name, arguments["law"])
        if isinstance(law, Empirical):
            law = Empirical(law.steps, arguments.pop("distortion", 1.0))
        arguments["law"] = law
    return arguments


def checked_law(law: LawLike, domain: IdDomain, distortion: float) -> Law:
    """The law of a name, of a configuration, or the object itself, if it fits the ids.

    Raises:
      PopSamplerError: an unknown law, one without its steps, one of another size, or a distortion
        where there are no counts to distort.
    """
    if isinstance(law, Mapping):
        law = law_from_config(dict(law))
    elif law == LogUniform.name:
        law = LogUniform(domain.size)
    elif law == Uniform.name:
        law = Uniform(domain.size)
    elif law == Empirical.name and not isinstance(law, Law):
        raise PopSamplerError(
            "Expected the steps of the empirical law. Received: its name alone. Build the sampler "
            "by from_schema(..., law='empirical'), or pass laws.Empirical(steps)."
        )
    if not isinstance(law, Law):
        raise PopSamplerError(
            "Expected law to be 'log_uniform', 'uniform' or an object of laws ('auto' and "
            f"'empirical' need from_schema). Received: {law!r}. Take one of these."
        )
    if law.size != domain.size:
        raise PopSamplerError(
            f"Expected a law over the {domain.size} ids {domain.min_id} to {domain.max_id}. "
            f"Received: {law!r}. Build law, min_id and max_id from one schema."
        )
    if distortion != 1.0:
        raise PopSamplerError(
            "Expected distortion only with from_schema's empirical law. "
            f"Received: distortion={distortion} with {law!r}. Pass "
            "laws.Empirical(steps, distortion), or take the schema's steps with from_schema."
        )
    return law


def checked_num_samples(value: Any, size: int, unique: bool) -> int:
    """The number of samples as a Python integer.

    Raises:
      PopSamplerError: not an integer, below 1, or more unique samples than there are items.
    """
    try:
        num = operator.index(value)
    except TypeError:
        num = 0
    if num < 1 or isinstance(value, bool):
        raise PopSamplerError(
            f"Expected max_num_samples to be an integer >= 1. Received: {value!r}. "
            "Take some hundreds."
        )
    if unique and num > size:
        raise PopSamplerError(
            f"Expected at most {size} unique samples, the number of items. "
            f"Received: max_num_samples={num}. Draw fewer, or pass unique=False."
        )
    return num


def checked_seed(seed: Any) -> Optional[int]:
    """The seed as a Python integer, or None.

    Raises:
      PopSamplerError: neither None nor an integer of 64 bits.
    """
    if seed is None:
        return None
    whole = hasattr(seed, "__index__") and not isinstance(seed, bool)
    if not whole or not -(2**63) <= operator.index(seed) < 2**64:
        raise PopSamplerError(
            f"Expected seed to be None or an integer of 64 bits. Received: {seed!r}. "
            "Pass an integer, or None and tf.random.set_seed."
        )
    return operator.index(seed)


def check_integers(dtype: Any) -> None:
    """Refuses ids of another kind than integers, by their TensorFlow dtype."""
    if not dtype.is_integer:
        raise PopSamplerError(f"Expected integer ids. Received: {dtype.name}. Cast them to int64.")


def _measured_law(metadata: PopularityMetadata, column: str, wanted: str) -> Law:
    """The law that the schema carries."""
    try:
        law = metadata.law()
    except SchemaError as error:
        raise SchemaError(
            f"Column {column!r}: {error} Or name the law to use all the same, as law='uniform'."
        ) from error
    if wanted == Empirical.name and not isinstance(law, Empirical):
        raise SchemaError(
            f"Column {column!r}: expected the steps of its popularity. Received: none (evidence "
            f"{metadata.evidence!r}). Encode with FrequencyCategorify, or pass law='log_uniform'."
        )
    return law
