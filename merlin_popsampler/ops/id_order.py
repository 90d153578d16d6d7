"""Checks the order of counted ids, and builds the map that sorts them."""

from dataclasses import dataclass, replace
from typing import Any, Mapping, Tuple

import numpy as np
import pandas as pd
from merlin.core import dispatch
from merlin.io.worker import get_worker_cache

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.core.checks import truncate_repr
from merlin_popsampler.core.run_lengths import RunLengths
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import FrequencyOrderError
from merlin_popsampler.store import artifact, counts_file
from merlin_popsampler.store.artifact import FitArtifact, FitFolder

from .counting import Counts
from .keys.columns import as_lists, elements, is_list
from .keys.kinds import RAW_COLUMN, canonical

LARGEST_ID = 10**9
"""No embedding table has more rows; larger ids are keys that were never encoded."""


@dataclass(frozen=True)
class Order(FitArtifact):
    """Holds the result of a fit for the ids of one column or group.

    Args:
      metadata: popularity of the ids that leave the operator, after any renumbering.
      gaps: text for messages about ids in the range that never occurred; "" if there are none.
      violation: text for messages about the first rise of the counts; "" if they never rise.
      first_mapped: first id of the map from old to new ids, which covers consecutive ids.
      dtypes: by column, the dtype of its ids, if it was the same in all partitions.
    """

    gaps: str
    violation: str
    first_mapped: int
    dtypes: Mapping[str, str]

    @property
    def remaps(self) -> bool:
        """Whether the fit renumbers ids."""
        return artifact.MAP in self.files


@dataclass(frozen=True)
class PossibleIds:
    """Describes the ids that a column can hold after the fit.

    Args:
      largest: largest id that the column's encoder assigns.
      dtype: NumPy's name of the dtype of the encoder's ids; "" if it is not known.
    """

    largest: int = LARGEST_ID
    dtype: str = ""


def measure(
    counts: Counts, name: str, reserved: int, remap: bool, steps: int, folder: FitFolder
) -> Tuple[str, Order]:
    """Checks the order of counted ids, and writes the files of the fit.

    Args:
      counts: occurrences of each id.
      name: name of the column or group.
      reserved: number of reserved ids, from 0 on; 0 without an encoder.
      remap: whether to renumber ids that are not in order.
      steps: largest number of steps of the popularity curve.
      folder: folder of the fit.

    Returns:
      The name, and the result.

    Raises:
      FrequencyOrderError: values are not ids; or, after an encoder, partitions differ in dtype.
    """
    if reserved:
        _check_dtypes(counts)
    dense = _dense_counts(counts, name, reserved)
    seen = reserved + np.flatnonzero(dense[reserved:])
    first, stop = (seen[0], seen[-1] + 1) if len(seen) else (reserved, reserved)
    items = dense[first:stop]
    violation, files = violation_of(items, int(first)), {}
    if violation and remap:
        by_count = np.argsort(-items, kind="stable")
        new_ids = np.empty(len(items), np.int64)
        new_ids[by_count] = np.arange(first, stop)
        dense = np.concatenate((dense[:first], items[by_count][: len(seen)]))
        items = dense[first:]
        table = pd.DataFrame({"id": np.arange(first, stop), "new_id": new_ids})
        files[artifact.MAP] = artifact.write(folder, artifact.MAP, name, [table])
    metadata = PopularityMetadata.from_counts(items, int(first), "counted", steps)
    files[artifact.POPULARITY] = counts_file.write(folder, name, RunLengths.of(dense), 1)
    order = Order(
        folder,
        files,
        replace(metadata, digest=counts_file.counts_digest([dense])),
        gaps=_uncounted(items, int(first)),
        violation=violation,
        first_mapped=int(first),
        dtypes={
            column: next(iter(rows.dtypes))
            for column, rows in counts.rows.items()
            if len(rows.dtypes) == 1
        },
    )
    return name, order


def passed_counts(order: Order) -> Ints:
    """Returns the counts of the ids before any renumbering, int64 `[largest counted id + 1]`."""
    counts = counts_file.read_counts(order)
    if not order.remaps:
        return counts
    new_ids = order.table(artifact.MAP)["new_id"].to_numpy()
    # Ids in the range that never occurred have the last new ids, and no row in the counts file.
    found = np.where(new_ids < len(counts), counts[np.minimum(new_ids, len(counts) - 1)], 0)
    return np.concatenate((counts[: order.first_mapped], found))


def _check_dtypes(counts: Counts) -> None:
    """Raises an error if partitions differ in the dtype of ids, as no encoder's output does."""
    for column, rows in counts.rows.items():
        if len(rows.dtypes) > 1:
            raise FrequencyOrderError(
                f"Column {column!r}: expected ids of one dtype in every partition, as an encoder "
                f"gives them. Received: {' and '.join(sorted(rows.dtypes))}. {RAW_COLUMN}"
            )


def _dense_counts(counts: Counts, name: str, reserved: int) -> Ints:
    """Returns the counts of the ids from 0 to the last item that was seen, int64."""
    ids = counts.keys[0].to_pandas()
    problem = f"{counts.nulls} nulls" if counts.nulls else _problem_of(ids, LARGEST_ID)
    if problem:
        raise FrequencyOrderError(
            f"Column {name!r}: expected ids, whole numbers from 0 to {LARGEST_ID}. "
            f"Received: {problem}. Encode the column first, with FrequencyCategorify for example. "
            f"{RAW_COLUMN}"
        )
    dense = np.zeros(max(int(ids.max()) + 1 if len(ids) else 0, reserved), np.int64)
    dense[ids.to_numpy(np.int64)] = counts.sizes
    return dense


def _uncounted(counts: Ints, min_id: int) -> str:
    """Describes the ids from `min_id` on that have the count 0; "" if there are none."""
    ids = min_id + np.flatnonzero(np.asarray(counts) == 0)
    if not len(ids):
        return ""
    total = f"{len(ids)} of the ids from {min_id} to {min_id + len(counts) - 1}"
    return f"{total} (the first is {ids[0]}, the last {ids[-1]})"


def violation_of(counts: Ints, min_id: int) -> str:
    """Describes the first rise of the counts; "" if they never rise.

    Args:
      counts: int64 `[n]`, occurrences of the ids from `min_id` on; 0 is read as 1.
      min_id: id of the first count.
    """
    known = np.maximum(counts, 1)
    rises = np.flatnonzero(known[1:] > known[:-1])
    if not len(rises):
        return ""
    rank = int(rises[0])
    return (
        f"id {min_id + rank} seen {counts[rank]} times, id {min_id + rank + 1} seen "
        f"{counts[rank + 1]} times, and {len(rises) - 1} more rises"
    )


def checked(ids: Any, possible: PossibleIds) -> Tuple[Any, bool]:
    """Checks that the values of a column can be ids of its encoder.

    Args:
      ids: the column, of ids or of lists of ids.
      possible: the ids that are valid.

    Returns:
      A series with the id of each row or list element, and whether the rows are lists.

    Raises:
      FrequencyOrderError: the column contains nulls, or values that are not valid ids.
    """
    lists = getattr(ids.dtype, "kind", "O") == "O" and bool(is_list(ids))
    values = elements(ids, lists)
    if not len(values):
        return values, lists
    if bool(dispatch.series_has_nulls(values)):
        raise FrequencyOrderError(
            f"Column {ids.name!r}: expected ids. Received: nulls. Fill or encode them first."
        )
    kind = getattr(values.dtype, "kind", "O")
    whole = values if kind in "iu" else canonical(values, ids.name)[0]
    problem = _problem_of(whole, possible.largest) or _other_dtype(values.dtype, possible.dtype)
    if problem:
        raise FrequencyOrderError(
            f"Column {ids.name!r}: expected ids as in the fit, whole numbers from 0 to "
            f"{possible.largest}. Received: {problem}. {RAW_COLUMN}"
        )
    return (values if kind in "iuf" else whole), lists


def remapped(ids: Any, order: Order, possible: PossibleIds) -> Any:
    """Replaces ids, or ids in lists, by their new ids, in the same dtype; ids outside the map stay.

    Args:
      ids: the column, of ids or of lists of ids.
      order: the result of a fit that renumbers ids.
      possible: the ids that are valid.

    Raises:
      FrequencyOrderError: the column contains nulls, or values that are not valid ids.
    """
    values, lists = checked(ids, possible)
    if len(values):
        old = values.astype("int64").values
        table = _map_table(order, ids)
        row = old - order.first_mapped
        mapped = (row >= 0) & (row < len(table))
        new = old.copy()
        new[mapped] = table[row[mapped]]
        values = type(values)(new).astype(values.dtype)
    if lists:
        return as_lists(ids, values.values, values.dtype)
    return values.values


def _other_dtype(found: Any, expected: str) -> str:
    """Describes a dtype that differs from the expected one; "" if it does not, or is object."""
    told = {expected, str(found)} - {"", "object"}
    return f"{found} values, where the fit had {expected}" if len(told) > 1 else ""


def _problem_of(ids: Any, largest: int) -> str:
    """Describes why values without nulls are not ids up to `largest`; "" if they are."""
    if not len(ids):
        return ""
    if getattr(ids.dtype, "kind", "O") not in "iu":
        return f"{ids.dtype} values, such as {truncate_repr(ids.iloc[0])}"
    first, last = int(ids.values.min()), int(ids.values.max())
    if not 0 <= first <= last <= largest:
        return f"values from {first} to {last}"
    return ""


def _map_table(order: Order, like: Any) -> Any:
    """Returns the new ids of consecutive old ids, on the device of `like`.

    They are cached, so that each worker reads the file once.
    """
    name = (order.digest(artifact.MAP), type(like).__module__)
    with get_worker_cache("frequency_order") as cache:
        if name not in cache:
            new_ids = order.table(artifact.MAP)["new_id"].to_numpy()
            cache[name] = dispatch.array(new_ids, like_df=like)
        return cache[name]
