"""Finds arguments that a loss cannot use, and builds the errors that both frameworks raise."""

from typing import Any, Callable, Mapping, Sequence

from merlin_popsampler.core.checks import fraction, is_number, positive_number
from merlin_popsampler.errors import PopSamplerError


def sources_error(kinds: Sequence[str]) -> Any:
    """Returns the error for objects that a `Mixture` cannot combine.

    Args:
      kinds: names of their types.

    Examples:
      >>> raise sources_error(["AllItems"])
      Traceback (most recent call last):
      merlin_popsampler.errors.PopSamplerError: Expected one PopularityBasedSampler or more, and at
      most one InBatch, as sources of negatives. Received: ['AllItems']. Build each by its
      from_schema or from_counts.
    """
    return PopSamplerError(
        "Expected one PopularityBasedSampler or more, and at most one InBatch, as sources of "
        f"negatives. Received: {list(kinds)}. Build each by its from_schema or from_counts."
    )


def domains_error(ranges: Sequence[str]) -> Any:
    """Returns the error for sources over different ids, or ids of another order.

    Args:
      ranges: the ids of each source, such as "3 to 14".
    """
    return PopSamplerError(
        f"Expected sources over the same ids, in the same order of popularity. Received: "
        f"{', '.join(ranges)}. Build all of them from one schema, or from the same counts."
    )


def sampled_values_error(num: int, received: Any, shapes: Sequence[Any]) -> Any:
    """Returns the error for `sampled_values` that the samplers cannot have drawn.

    Args:
      num: number of ids that the samplers draw.
      received: the value of the argument.
      shapes: shapes of the value's parts; of the value itself if it is not a pair.
    """
    kinds = f"{type(received).__name__} of {' and '.join(map(str, shapes)) or 'no parts'}"
    if not num:
        return PopSamplerError(
            "Expected no sampled_values with in-batch negatives alone, since no sampler draws. "
            f"Received: {kinds}. Leave it out, or add a PopularityBasedSampler to the sources."
        )
    return PopSamplerError(
        f"Expected sampled_values as a pair of ids [{num}] and expected counts [{num}], what "
        f"the samplers draw. Received: {kinds}. Pass (ids, sampler.expected_count(ids)) of "
        "ids = sampler.sample_ids(): with several samplers, all their ids, and the sums of their "
        "expected counts. Or leave it out to draw anew."
    )


def check_contrastive(
    query: Any,
    candidates: Mapping[str, Any],
    domain: Any,
    kind: Any,
    is_tensor: Callable[[Any], bool],
    temperature: Any,
    logq_strength: Any,
    correct_positive: Any = True,
) -> None:
    """Checks arguments of `contrastive_logits`.

    Args:
      query: must be a tensor.
      candidates: the arguments that must be `Candidates`, by name.
      domain: must tell which ids it contains.
      kind: the class `Candidates` of the framework.
      is_tensor: tests whether a part of `Candidates` is a tensor.
      temperature: above 0, if it is a number and not a tensor.
      logq_strength: from 0 to 1, if it is a number and not a tensor.
      correct_positive: whether the expected counts of `positive` are used.

    Raises:
      PopSamplerError: an argument has another type, or is out of range.
    """
    if not (is_tensor(query) and hasattr(domain, "contains")):
        raise PopSamplerError(
            "Expected queries as a tensor [rows, dim], and the domain of the ids. Received: "
            f"{type(query).__name__} and {type(domain).__name__}. Pass sampler.domain, or an "
            "IdDomain of your own."
        )
    for name, given in candidates.items():
        used = 3 if correct_positive or name != "positive" else 2
        # One number may stand for the expected counts of all items.
        if not isinstance(given, kind) or not all(
            is_tensor(part) or (place == 2 and is_number(part))
            for place, part in enumerate(given[:used])
        ):
            parts = [type(part).__name__ for part in (given if isinstance(given, tuple) else ())]
            raise PopSamplerError(
                f"Expected {name} to be Candidates of three tensors: vectors [n, dim], ids [n] and "
                f"expected counts [n]. Received: {type(given).__name__} of {parts}. "
                "Pass Candidates(vectors, ids, counts)."
            )
    if is_number(temperature):
        positive_number("temperature", temperature, "A temperature of 1.0 changes no score.")
    if is_number(logq_strength):
        fraction("logq_strength", logq_strength, "Take 1.0, or less for a part of it.")


def nothing_sampled_error(received: Any) -> Any:
    """Returns the error for `sampled_values` with `AllItems`.

    Args:
      received: the value of the argument.
    """
    return PopSamplerError(
        "Expected no sampled_values with AllItems, since every item is in the sum. Received: "
        f"{type(received).__name__}. Leave it out, or pass a sampler as negatives."
    )


def width_error(query: int, vector: int) -> Any:
    """Returns the error for queries and item vectors of different width.

    Args:
      query: number of components of a query.
      vector: number of components of an item vector.
    """
    return PopSamplerError(
        f"Expected queries and item vectors of one width. Received: queries of {query} components, "
        f"item vectors of {vector}. Let the model of the queries end in a layer as wide as the "
        "vectors."
    )
