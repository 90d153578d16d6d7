"""Measures popularity from the user's own counts, without NVTabular and without files."""

from __future__ import annotations

import warnings
from typing import Any, Iterable, NamedTuple, NoReturn, Tuple

import numpy as np

from merlin_popsampler.core.checks import truncate_repr
from merlin_popsampler.core.domain import MAX_LEGAL_ID
from merlin_popsampler.core.popularity_curve import MAX_STEPS
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import FrequencyOrderError, PopSamplerError

from .caller import caller_level
from .metadata import PopularityMetadata

_FORMS = (
    "a NumPy array indexed by id, a dict of id to count, a pair of arrays (ids, counts), a pandas, "
    "polars or cuDF Series or frame as value_counts returns it, or an Arrow table of two columns"
)

_MISSING = {"None", "nan", "NaT", "<NA>", "-1", "-1.0"}
"""Texts of the values by which other libraries mark a missing key."""


class CountedItems(NamedTuple):
    """Lists the items of a catalog, the most popular first.

    Attributes:
      ids: int64 `[n]`, the id of each rank.
      counts: int64 `[n]`, the occurrences of each item, at least 1, never rising.

    Examples:
      >>> counted_items({7: 5, 6: 9}).in_order
      True
    """

    ids: Ints
    counts: Ints

    @property
    def in_order(self) -> bool:
        """Whether the ids are consecutive, so that the rank of an id is `id - ids[0]`."""
        first, last, size = int(self.ids[0]), int(self.ids[-1]), len(self.ids)
        return last - first + 1 == size and bool((self.ids[1:] > self.ids[:-1]).all())


def popularity_from(
    counts: Any, *, reserved_ids: Iterable[int] = (), max_steps: int = MAX_STEPS
) -> Tuple[PopularityMetadata, Ints]:
    """Measures the popularity of items whose occurrences are counted already.

    An item without interactions (count 0, or a missing id) is left out. It is never drawn, and as a
    positive it gets no logQ correction. A warning states the number of such ids.

    Args:
      counts: occurrences by integer id, in any order: a NumPy array `[max_id + 1]` indexed by id,
        a dict of id to count, a pair of arrays (ids, counts), a pandas, polars or cuDF Series or
        frame as `value_counts` returns it, or an Arrow table whose two columns are id and count.
      reserved_ids: ids that do not stand for an item, such as padding; left out without a warning.
      max_steps: largest number of steps of the popularity curve, at least 1.

    Returns:
      The metadata, and the id of each rank, int64 `[items]`, by decreasing count, ties by id. If
      these ids are consecutive, `min_id` and `max_id` are the first and the last of them. Otherwise
      they are ranks, from 0 to `items - 1`.

    Raises:
      PopSamplerError: `counts` has none of these forms, ids are not distinct integers from 0 to
        2**53 - 1, counts are not whole numbers `>= 0`, or no item has a count above 0.

    Examples:
      >>> metadata, ids = popularity_from({7: 5, 8: 9, 3: 1})
      >>> ids.tolist(), metadata.min_id, metadata.max_id, metadata.steps
      ([8, 7, 3], 0, 2, '0:9,1:5,2:1,3')
      >>> metadata, ids = popularity_from(np.array([0, 9, 5, 5]), reserved_ids=[0])
      >>> ids.tolist(), metadata.min_id, metadata.max_id
      ([1, 2, 3], 1, 3)
    """
    items = counted_items(counts, reserved_ids)
    min_id = int(items.ids[0]) if items.in_order else 0
    metadata = PopularityMetadata.from_counts(items.counts, min_id, "counted", max_steps)
    return metadata, items.ids


def check_order(counts: Any, *, reserved_ids: Iterable[int] = ()) -> PopularityMetadata:
    """Checks that ids are in frequency order, as a sampler with `min_id` and `max_id` assumes.

    A sampler that gets only a range of ids cannot detect that they have another order. It would
    draw the lowest ids most often, however rare they are.

    Args:
      counts: occurrences by integer id; see `popularity_from` for the forms.
      reserved_ids: ids that do not stand for an item, such as padding.

    Returns:
      The `PopularityMetadata` of the ids. Pass its `min_id` and `max_id` to the sampler.

    Raises:
      FrequencyOrderError: an id occurs more often than a smaller one; or an id between two items
        is missing, reserved or has a count of 0.
      PopSamplerError: see `popularity_from`.

    Examples:
      >>> metadata = check_order([0, 9, 5, 5], reserved_ids=[0])
      >>> metadata.min_id, metadata.max_id
      (1, 3)
    """
    items = counted_items(counts, reserved_ids)
    if not items.in_order:
        falls = np.flatnonzero(items.ids[1:] != items.ids[:-1] + 1)
        rank = int(falls[0]) + 1
        raise FrequencyOrderError(
            "Expected consecutive ids whose counts never rise from an id to the next. Received: "
            f"id {items.ids[rank]} ({items.counts[rank]} occurrences) follows id "
            f"{items.ids[rank - 1]} ({items.counts[rank - 1]} occurrences) in the order of counts. "
            "Use PopularityBasedSampler.from_counts, which maps ids to ranks, or encode with "
            "FrequencyCategorify."
        )
    return PopularityMetadata.from_counts(items.counts, int(items.ids[0]), "counted", MAX_STEPS)


def counted_items(counts: Any, reserved_ids: Iterable[int] = ()) -> CountedItems:
    """Reads counts in any accepted form, and sorts the items by decreasing count, then by id.

    Args:
      counts: see `popularity_from`.
      reserved_ids: see `popularity_from`.

    Raises:
      PopSamplerError: see `popularity_from`.

    Examples:
      >>> counted_items({7: 5, 8: 9, 0: 3}, reserved_ids=[0]).ids.tolist()
      [8, 7]
    """
    by_id, numbers = _columns(counts)
    sizes = _whole(numbers, "counts", 2**63 - 1)
    ids = np.arange(len(sizes)) if by_id is None else _whole(by_id, "ids", MAX_LEGAL_ID - 1)
    if len(ids) != len(sizes):
        raise PopSamplerError(
            f"Expected one count for each id. Received: {len(ids)} ids and {len(sizes)} counts. "
            "Pass two arrays of one length."
        )
    if by_id is not None and len(ids) > 1 and not (ids[1:] > ids[:-1]).all():
        order = np.argsort(ids, kind="stable")
        ids, sizes = ids[order], sizes[order]
        _check_distinct(ids)
    if not hasattr(reserved_ids, "__iter__") or getattr(reserved_ids, "ndim", 1) == 0:
        raise PopSamplerError(
            f"Expected reserved_ids as a list of ids. Received: {reserved_ids!r}. Pass [0] for one "
            "id, or leave it out."
        )
    reserved = np.unique(_whole(list(reserved_ids), "reserved_ids", MAX_LEGAL_ID - 1))
    if len(reserved):
        kept = ~np.isin(ids, reserved)
        ids, sizes = ids[kept], sizes[kept]
    seen = sizes > 0
    if not seen.any():
        raise PopSamplerError(
            f"Expected counts of at least one item. Received: {len(sizes)} ids that are not "
            "reserved, none with a count above 0. Pass the counts of the training interactions."
        )
    _warn_of_unseen(ids, seen, reserved)
    if not seen.all():
        ids, sizes = ids[seen], sizes[seen]
    if (sizes[1:] > sizes[:-1]).any():
        order = np.argsort(-sizes, kind="stable")
        ids, sizes = ids[order], sizes[order]
    return CountedItems(ids, sizes)


def _columns(counts: Any) -> Tuple[Any, Any]:
    """Splits counts into ids and numbers; the ids are None for an array indexed by id."""
    if isinstance(counts, dict):
        return list(counts), list(counts.values())
    if isinstance(counts, tuple) and len(counts) == 2:
        return counts
    # Tests attributes and not classes, so that no library has to be imported.
    if hasattr(counts, "iloc"):  # pandas and cuDF
        return _columns_of_indexed(counts)
    if hasattr(counts, "collect") and hasattr(counts, "lazy"):
        raise PopSamplerError(
            f"Expected {_FORMS}. Received: {type(counts).__name__}, which is not computed yet. "
            "Pass its collect()."
        )
    return _columns_of_others(counts)


def _columns_of_others(counts: Any) -> Tuple[Any, Any]:
    """Splits a polars frame or an Arrow table; the ids are None for an array indexed by id."""
    names = getattr(counts, "column_names", getattr(counts, "columns", None))
    if names is not None and len(names) == 2:  # polars and Arrow
        return counts[names[0]], counts[names[1]]
    if names is not None:  # before the next form, whose methods an Arrow table has as well
        _refuse(counts, f"{len(names)} columns, {truncate_repr(list(names))}")
    if hasattr(counts, "flatten") and hasattr(counts, "field"):  # pyarrow.compute.value_counts
        return counts.field("values"), counts.field("counts")
    if hasattr(counts, "value_counts"):  # a polars Series or an Arrow array: not yet counted
        raise PopSamplerError(
            f"Expected {_FORMS}. Received: {type(counts).__name__} of {len(counts)} values. Pass "
            "its value_counts(), or to_numpy() of counts that are indexed by id."
        )
    return None, counts


def _columns_of_indexed(counts: Any) -> Tuple[Any, Any]:
    """Splits a pandas or cuDF Series, or a frame of one or two columns, into ids and counts."""
    if counts.ndim == 1:
        return counts.index, counts
    width = counts.shape[1]
    if width not in (1, 2):
        _refuse(counts, f"{width} columns, {truncate_repr(list(counts.columns))}")
    named = [name for name in counts.index.names if name is not None]
    if width == 2 and named:  # two counts of each id, as of a group-by
        index = truncate_repr(named[0] if len(named) == 1 else named)
        raise PopSamplerError(
            f"Expected {_FORMS}. Received: {type(counts).__name__} with two columns, and an index "
            f"{index}. Select the column of counts, or drop the index: reset_index(drop=True)."
        )
    return counts.iloc[:, 0] if width == 2 else counts.index, counts.iloc[:, -1]


def _refuse(counts: Any, received: str) -> NoReturn:
    raise PopSamplerError(
        f"Expected {_FORMS}. Received: {type(counts).__name__} with {received}. "
        "Select the column of ids, then that of counts."
    )


def _whole(values: Any, name: str, largest: int) -> Ints:
    """Converts numbers of any library to int64 `[n]`.

    Raises:
      PopSamplerError: values that are not whole numbers from 0 to `largest`.
    """
    array = _as_numpy(values)
    if array.ndim == 1 and not array.size:
        return np.zeros(0, np.int64)
    received = truncate_repr(array.ravel()[:5].tolist())
    if array.ndim == 1 and array.dtype.kind in "iuf":
        outside = ~((array >= 0) & (array <= largest))
        if array.dtype.kind == "f":
            outside |= array != np.floor(array)
        if not outside.any():
            return np.asarray(array, np.int64)
        received = f"{truncate_repr(array[outside][:5].tolist())} among them"
    advice = f"Pass {_FORMS}."
    if array.dtype.kind in "SU" or any(isinstance(value, (str, bytes)) for value in array.flat):
        advice = "Encode strings as integers first, by FrequencyCategorify or pandas.factorize."
    elif name == "ids" and _has_missing(array):
        advice = (
            "NaN, None and the -1 of pandas.factorize are missing keys, not items: leave them out, "
            "or add 1 to all ids, and reserve 0 for missing keys."
        )
    raise PopSamplerError(
        f"Expected {name} to be a flat list of whole numbers from 0 to {largest}. Received: "
        f"{array.dtype} of shape {array.shape}, {received}. {advice}"
    )


def _has_missing(ids: Any) -> bool:
    """Tests for the forms in which other libraries write a missing key."""
    # By their text, since the comparison of pandas.NA with a number raises an error.
    return any(str(each) in _MISSING for each in ids.ravel().tolist())


def _as_numpy(values: Any) -> Any:
    try:
        if hasattr(values, "to_numpy"):
            values = values.to_numpy()
        array = np.asarray(values)
        if array.dtype == object and not any(isinstance(value, bool) for value in array.flat):
            array = np.asarray(array.tolist())  # for pandas' nullable integers
        return array
    except (TypeError, ValueError, OverflowError) as error:
        raise PopSamplerError(
            f"Expected {_FORMS}. Received: {type(values).__name__} ({error}). "
            "Pass integer ids and whole counts."
        ) from None


def _check_distinct(ids: Ints) -> None:
    repeated = ids[1:][ids[1:] == ids[:-1]]
    if len(repeated):
        raise PopSamplerError(
            f"Expected each id once. Received: {len(repeated)} repeated ids, the first is "
            f"{repeated[0]}. Add the counts of equal ids, for example by a group-by."
        )


def _warn_of_unseen(ids: Ints, seen: Any, reserved: Ints) -> None:
    """Warns of ids up to the largest one that are never drawn, since they have no interactions."""
    first, last = int(ids[seen][0]), int(ids[-1])
    between = last - first + 1 - int(np.count_nonzero(ids >= first))
    between -= int(np.count_nonzero((reserved > first) & (reserved < last)))
    zeros = len(ids) - int(np.count_nonzero(seen))
    parts = [f"{zeros} ids have the count 0"] if zeros else []
    parts += [f"{between} ids between {first} and {last} are missing"] if between else []
    if parts:
        warnings.warn(
            f"{' and '.join(parts)}: they are never drawn, and as positives they get no "
            "correction. If they do not stand for items, pass them as reserved_ids.",
            stacklevel=caller_level(),
        )
