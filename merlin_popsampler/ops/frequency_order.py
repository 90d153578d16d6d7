"""The operator that proves, refuses or makes the frequency order of ids of any origin."""

import warnings
from typing import Any, Dict, List, Optional, Sequence

import dask
import numpy as np
from merlin.schema import ColumnSchema, Schema

from merlin_popsampler.contract.metadata import PROPERTY, PopularityMetadata, uncounted
from merlin_popsampler.contract.schema import reserved_ids, with_popularity
from merlin_popsampler.core.checks import whole_number
from merlin_popsampler.core.pieces import Ints
from merlin_popsampler.core.steps import MAX_STEPS
from merlin_popsampler.errors import FrequencyOrderError, PopSamplerError, SchemaError

from . import fit_folder
from .counting import count_keys
from .fit_files import FittedFiles
from .id_order import Order, measure, remapped, violation_of
from .keys import KeyGroup
from .nvtabular_compat import StatOperator
from .vocabulary import read_sizes

MODES = ("count", "vocabulary")
ON_VIOLATION = ("raise", "warn", "remap")


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

    Examples:
      `["item_id"] >> HashBucket(1000) >> FrequencyOrder(on_violation="remap") >> TagAsItemID()`
    """

    subfolder = fit_folder.FREQUENCY_ORDER

    def __init__(
        self,
        mode: str = "count",
        on_violation: str = "raise",
        groups: Optional[Sequence[Sequence[str]]] = None,
        steps: int = MAX_STEPS,
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
        self.mode = mode
        self.on_violation = on_violation
        self.groups = [tuple(group) for group in groups or ()]
        self.steps = whole_number("steps", steps, 1, f"By default it is {MAX_STEPS}.")
        self.out_path = out_path
        self._reserved: Dict[str, int] = {}
        self._init_files()

    def fit(self, col_selector: Any, ddf: Any) -> Any:
        """Delayed counting, or nothing in mode "vocabulary"."""
        if self.mode == "vocabulary":
            return dask.delayed({})
        groups = self._groups(col_selector.names)
        folder = self._begin([group.name for group in groups])
        counts = count_keys(ddf, groups, {group.name: 8 for group in groups})
        return dask.delayed(dict)(
            [
                dask.delayed(measure)(
                    counts[group.name],
                    group.name,
                    max(self._reserved.get(column, 0) for column in group.columns),
                    self.on_violation == "remap",
                    self.steps,
                    folder,
                )
                for group in groups
            ]
        )

    def transform(self, col_selector: Any, df: Any) -> Any:
        """The frame as it is, or with new ids where the fit remapped them."""
        frame = df.copy(deep=False)
        for column in col_selector.names:
            name = self._name_of(column)
            if name in self._stale:
                raise FrequencyOrderError(
                    f"Column {column!r}: expected a fit that came to its end. Received: one that "
                    "failed, so that the ids may no longer be those of the earlier fit. Fit the "
                    "workflow again, or load the one that was saved."
                )
            order = self.fits.get(name)
            if order is not None and order.remaps:
                frame[column] = remapped(df[column], order)
        return frame

    def _compute_properties(self, col_schema: ColumnSchema, input_schema: Schema) -> ColumnSchema:
        """The input's properties, with the popularity, and without a cat_path that lies."""
        column = col_schema.name
        col_schema = super()._compute_properties(col_schema, input_schema)
        self._reserved[column] = reserved_ids(col_schema)
        if self.mode == "vocabulary":
            return self._audited(col_schema)
        order = self._fresh.get(self._name_of(column))
        if order is None:
            return col_schema
        if order.remaps and "cat_path" in col_schema.properties:
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
        _warn_of_gaps(col_schema.name, uncounted(sizes, min_id))
        metadata = PopularityMetadata.from_counts(sizes, min_id, "vocabulary", self.steps)
        _check_belongs(col_schema, metadata, sizes)
        violation = violation_of(sizes, min_id)
        if violation:
            self._report(col_schema.name, violation)
        return with_popularity(col_schema, metadata)

    def _check(self, name: str, found: Order) -> None:
        if found.violation and self.on_violation != "remap":
            self._report(name, found.violation)
        _warn_of_gaps(name, found.gaps)

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


def _warn_of_gaps(name: str, gaps: str) -> None:
    if gaps:
        warnings.warn(
            f"Column {name!r}: {gaps} were never seen; each counts as seen once, so that it can be "
            "drawn and priced.",
            stacklevel=2,
        )


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
        total = None if stated.steps is None else stated.curve.total
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
