"""The operator that counts, proves, refuses or makes the frequency order of ids of any origin."""

import warnings
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

import dask
import numpy as np
import pandas as pd
from merlin.core import dispatch
from merlin.io.worker import get_worker_cache
from merlin.schema import ColumnSchema, Schema

from . import files
from .counting import SIZE, Counts, count_keys
from .encoding import as_lists
from .errors import FrequencyOrderError, PopSamplerError, SchemaError
from .files import Ints
from .fitted_files import FittedFiles
from .keys import KeyGroup, elements, is_list
from .metadata import PROPERTY, PopularityMetadata, check_steps
from .nvtabular_layout import StatOperator
from .schema import reserved_ids, with_popularity
from .steps import Steps
from .vocabulary import read_sizes

MODES = ("count", "vocabulary")
ON_VIOLATION = ("raise", "warn", "remap")
LARGEST_ID = 10**9
"""No embedding table has more rows; larger ids are keys that were never encoded."""


@dataclass(frozen=True)
class Order:
    """What was found out about the ids of one column or group.

    Args:
      path: of the counts file.
      digest: of the counts, and of the map where there is one.
      metadata: range, order and popularity curve of the ids that leave the operator.
      gaps: ids of the range that were never seen.
      violation: the first place where the counts rise, in words; "" where they never do.
      first_mapped: first id of the map (the map's rows are consecutive ids).
      map_digest: of the map file; None where ids stay as they are.
    """

    path: str
    digest: str
    metadata: PopularityMetadata
    gaps: int
    violation: str
    first_mapped: int = 0
    map_digest: Optional[str] = None

    @property
    def map_path(self) -> str:
        """Of the map file, beside the counts."""
        folder, name = self.path.rsplit("/", 1)
        return f"{folder}/map.{name.split('.', 1)[1]}"

    def check_files(self) -> None:
        """Refuses files that somebody else wrote, moved or removed since the fit."""
        counts = files.read_counts(self.path)
        if files.counts_digest(counts) != self.metadata.digest:
            raise PopSamplerError(
                f"Expected the counts that were fitted at {self.path}. Received: others. Give each "
                "workflow its own out_path, and fit again."
            )
        if self.map_digest is not None:
            files.check_digest(self.map_path, self.map_digest)


class FrequencyOrder(FittedFiles, StatOperator):  # type: ignore[misc]
    """Checks that ids are sorted by decreasing frequency, and records it in the schema.

    Put it after whatever makes the ids that the model will see: an encoder, a filter after one, a
    hash, row numbers of a query. Ids that the encoder's properties reserve (padding, null, unknown
    keys) are no items; where no encoder left properties, every id that was seen is one. The range
    is the one that was really seen.

    Args:
      mode: "count" counts the ids in one pass over the data. "vocabulary" reads the counts that
        the encoder wrote beside its keys, without a pass: right only for a node that directly
        follows its encoder, which an operator cannot see.
      on_violation: "raise" refuses ids that are not in order; "warn" records that they are not;
        "remap" (mode "count") gives new ids in order of (count descending, old id ascending).
        Reserved ids stay; ids outside the range that was seen stay; a `cat_path`, which would
        decode the old ids, is taken out of the schema.
      groups: lists of columns that share one vocabulary, and so one count and one map.
      steps: most steps of the popularity curve in the schema, `>= 1`.
      out_path: counts and maps are written to its folder `frequency_order`.

    Raises:
      PopSamplerError: arguments that contradict each other, or files of another operator in the
        way. From `fit`: FrequencyOrderError for ids out of order, negative, null, fractional or
        above 1e9, or an encoder's vocabulary that is missing or has no counts.

    Example:
      `["item_id"] >> HashBucket(1000) >> FrequencyOrder(on_violation="remap") >> TagAsItemID()`
    """

    subfolder = "frequency_order"
    kinds = ("popularity", "map")

    def __init__(
        self,
        mode: str = "count",
        on_violation: str = "raise",
        groups: Optional[Sequence[Sequence[str]]] = None,
        steps: int = 256,
        out_path: Any = "./",
    ) -> None:
        super().__init__()
        _check_choice("mode", mode, MODES)
        _check_choice("on_violation", on_violation, ON_VIOLATION)
        if mode == "vocabulary" and (on_violation == "remap" or groups):
            raise PopSamplerError(
                "Expected mode='count' for on_violation='remap' and for groups: an audit sees the "
                f"vocabulary after all fitting. Received: mode={mode!r}, "
                f"on_violation={on_violation!r}, groups={groups!r}. Leave mode at its default."
            )
        check_steps(steps)
        self.mode = mode
        self.on_violation = on_violation
        self.groups = [tuple(group) for group in groups or ()]
        self.steps = steps
        self.out_path = out_path
        self._reserved: Dict[str, int] = {}
        self._init_files()

    def fit(self, col_selector: Any, ddf: Any) -> Any:
        """Delayed counting, or nothing in mode "vocabulary"."""
        if self.mode == "vocabulary":
            return dask.delayed({})
        groups = self._groups(col_selector.names)
        staging = self._begin([group.name for group in groups])
        counts = count_keys(ddf, groups, {group.name: 8 for group in groups})
        return dask.delayed(dict)(
            [
                dask.delayed(_measure)(
                    counts[group.name],
                    group.name,
                    max(self._reserved.get(column, 0) for column in group.columns),
                    self.on_violation == "remap",
                    self.steps,
                    f"{staging}/popularity.{group.name}.parquet",
                )
                for group in groups
            ]
        )

    def transform(self, col_selector: Any, df: Any) -> Any:
        """The frame as it is, or with new ids where the fit remapped them."""
        remapped = df.copy(deep=False)
        for column in col_selector.names:
            order = self.fits.get(self._name_of(column))
            if order is not None and order.map_digest is not None:
                remapped[column] = _remap(df[column], order)
        return remapped

    def _compute_properties(self, col_schema: ColumnSchema, input_schema: Schema) -> ColumnSchema:
        """The input's properties, with the popularity, and without a cat_path that lies."""
        column = col_schema.name
        col_schema = super()._compute_properties(col_schema, input_schema)
        self._reserved[column] = reserved_ids(col_schema)
        if self.mode == "vocabulary":
            return self._audited(col_schema)
        order = self.fits.get(self._name_of(column))
        if order is None:
            return col_schema
        if order.map_digest is not None and "cat_path" in col_schema.properties:
            col_schema = col_schema.with_properties({"cat_path": None})
        return with_popularity(_with_room(col_schema, order.metadata), order.metadata)

    def _audited(self, col_schema: ColumnSchema) -> ColumnSchema:
        """The column with the popularity that its encoder's own counts prove."""
        path = col_schema.properties.get("cat_path")
        if path is None:  # before the encoder's fit, or for a column that has none
            return col_schema
        domain = col_schema.properties.get("domain") or {}
        name, min_id = domain.get("name") or col_schema.name, self._reserved[col_schema.name]
        sizes = read_sizes(str(path), name, min_id)
        metadata = PopularityMetadata.from_counts(sizes, min_id, "vocabulary", self.steps)
        _check_belongs(col_schema, metadata, sizes)
        violation = _violation(sizes, min_id)
        if violation:
            self._report(col_schema.name, violation)
        return with_popularity(col_schema, metadata)

    def _check(self, name: str, found: Order) -> None:
        if found.violation and self.on_violation != "remap":
            self._report(name, found.violation)
        if found.gaps:
            warnings.warn(
                f"Column {name!r}: {found.gaps} ids from {found.metadata.min_id} to "
                f"{found.metadata.max_id} were never seen; each counts as seen once, so that it "
                "can be drawn and priced.",
                stacklevel=2,
            )

    def _report(self, name: str, violation: str) -> None:
        message = (
            f"Column {name!r}: expected ids sorted by decreasing frequency. Received: {violation}. "
            "Encode with FrequencyCategorify, or pass on_violation='remap'."
        )
        if self.on_violation == "raise":
            raise FrequencyOrderError(message)
        warnings.warn(message, stacklevel=2)

    def _groups(self, columns: List[str]) -> List[KeyGroup]:
        """What is counted together; every column is in one group, its own or a joint one."""
        members = [column for group in self.groups for column in group]
        missing = [column for column in members if column not in columns]
        if missing or len(set(members)) < len(members):
            raise PopSamplerError(
                f"Expected groups of the operator's columns {columns}, each column in one. "
                f"Received: groups={self.groups}. Name each jointly encoded column once."
            )
        joint = [KeyGroup("_".join(group), group, joint=True) for group in self.groups]
        single = [KeyGroup(name, (name,), False) for name in columns if name not in members]
        return joint + single

    def _name_of(self, column: str) -> str:
        names = ["_".join(group) for group in self.groups if column in group]
        return names[0] if names else column


def _measure(
    counts: Counts, name: str, reserved: int, remap: bool, steps: int, path: str
) -> Tuple[str, Order]:
    """Order of counted ids, with its files staged beside `path`."""
    dense = _dense_counts(counts, name, reserved)
    seen = reserved + np.flatnonzero(dense[reserved:])
    first, stop = (seen[0], seen[-1] + 1) if len(seen) else (reserved, reserved)
    items = dense[first:stop]
    violation, map_digest = _violation(items, int(first)), None
    if violation and remap:
        by_count = np.argsort(-items, kind="stable")
        new_ids = np.empty(len(items), np.int64)
        new_ids[by_count] = np.arange(first, stop)
        dense = np.concatenate((dense[:first], items[by_count][: len(seen)]))
        items = dense[first:]
        map_path = path.replace("/popularity.", "/map.")
        files.write(map_path, pd.DataFrame({"id": np.arange(first, stop), "new_id": new_ids}))
        map_digest = files.file_digest(map_path)
    metadata = PopularityMetadata.from_counts(items, int(first), "counted", steps)
    digest = files.write_counts(path, dense)
    order = Order(
        path=path,
        digest=digest + (map_digest or ""),
        metadata=replace(metadata, digest=digest),
        gaps=int((items == 0).sum()),
        violation=violation,
        first_mapped=int(first),
        map_digest=map_digest,
    )
    return name, order


def _dense_counts(counts: Counts, name: str, reserved: int) -> Ints:
    """Counts of the ids from 0 to the last item that was seen, int64."""
    ids = counts.frame[name]
    problem = ""
    if counts.nulls:
        problem = f"{counts.nulls} nulls"
    elif len(ids) and ids.dtype.kind not in "iu":
        problem = f"{ids.dtype} values, such as {ids.iloc[0]!r}"
    elif len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) <= LARGEST_ID:
        problem = f"values from {ids.min()} to {ids.max()}"
    if problem:
        raise FrequencyOrderError(
            f"Column {name!r}: expected ids, whole numbers from 0 to {LARGEST_ID}. "
            f"Received: {problem}. Encode the column first, with FrequencyCategorify for example."
        )
    dense = np.zeros(max(int(ids.max()) + 1 if len(ids) else 0, reserved), np.int64)
    dense[ids.to_numpy(np.int64)] = counts.frame[SIZE].to_numpy()
    return dense


def _violation(counts: Ints, min_id: int) -> str:
    """The first place where counts rise, unseen ids counted as seen once; "" if they never do."""
    known = np.maximum(counts, 1)
    rises = np.flatnonzero(known[1:] > known[:-1])
    if not len(rises):
        return ""
    rank = int(rises[0])
    return (
        f"id {min_id + rank} seen {counts[rank]} times, id {min_id + rank + 1} seen "
        f"{counts[rank + 1]} times, and {len(rises) - 1} more rises"
    )


def _remap(ids: Any, order: Order) -> Any:
    """New ids of a column of ids or of lists of ids, in its dtype; ids off the map stay."""
    values = elements(ids)
    if bool(dispatch.series_has_nulls(values)):
        raise FrequencyOrderError(
            f"Column {ids.name!r}: expected ids. Received: nulls. Fill or encode them first."
        )
    if len(values):
        old = values.astype("int64").values
        table = _map_table(order, ids)
        row = old - order.first_mapped
        mapped = (row >= 0) & (row < len(table))
        new = old.copy()
        new[mapped] = table[row[mapped]]
        values = type(values)(new.astype(values.dtype))
    if is_list(ids):
        return as_lists(ids, values.values, values.dtype)
    return values.values


def _map_table(order: Order, like: Any) -> Any:
    """New ids of consecutive old ids, in the memory where `like` is, read once per worker."""
    name = (order.map_path, order.map_digest, type(like).__module__)
    with get_worker_cache("frequency_order") as cache:
        if name not in cache:
            files.check_digest(order.map_path, str(order.map_digest))
            new_ids = files.read(order.map_path)["new_id"].to_numpy()
            cache[name] = dispatch.array(new_ids, like_df=like)
        return cache[name]


def _with_room(col_schema: ColumnSchema, metadata: PopularityMetadata) -> ColumnSchema:
    """The column with a domain that holds every id, where its encoder wrote one too small."""
    domain = col_schema.properties.get("domain")
    if not domain or domain.get("max") is None or domain["max"] >= metadata.max_id:
        return col_schema
    return col_schema.with_properties({"domain": {**domain, "max": metadata.max_id}})


def _check_belongs(col_schema: ColumnSchema, found: PopularityMetadata, sizes: Ints) -> None:
    """Refuses a vocabulary that is not the one which the schema speaks of."""
    expected = (col_schema.properties.get("domain") or {}).get("max")
    fields = col_schema.properties.get(PROPERTY)
    fine = expected is None or int(expected) == found.max_id
    if fine and fields is not None:
        stated = PopularityMetadata.from_dict(fields, col_schema.name)
        total = None if stated.steps is None else Steps.parse(stated.steps, stated.domain).total
        fine = stated.domain == found.domain and total in (None, int(np.maximum(sizes, 1).sum()))
    if not fine:
        raise SchemaError(
            f"Column {col_schema.name!r}: expected the vocabulary that the schema describes, ids "
            f"up to {expected}. Received: another one at {col_schema.properties['cat_path']}, ids "
            f"up to {found.max_id}. Was it written over? Fit the encoder again."
        )


def _check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise PopSamplerError(
            f"Expected {name} to be one of {list(choices)}. Received: {value!r}. "
            f"Leave it at its default, {choices[0]!r}."
        )
