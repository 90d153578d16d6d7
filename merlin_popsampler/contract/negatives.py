"""Builds the errors that TensorFlow and PyTorch raise for arguments that a loss cannot use."""

from typing import Any, Sequence

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
