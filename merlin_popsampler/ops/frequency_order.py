"""Defines the operator that checks or establishes the frequency order of existing ids."""

import warnings
from typing import Any, Dict, List, Optional, Sequence, Tuple

import dask
import numpy as np
from merlin.schema import ColumnSchema, Schema

from merlin_popsampler.contract.metadata import PROPERTY, PopularityMetadata
from merlin_popsampler.contract.schema import with_popularity
from merlin_popsampler.core.checks import choice, truncate_repr, whole_number
from merlin_popsampler.core.popularity_curve import MAX_STEPS
from merlin_popsampler.core.segments import Ints
from merlin_popsampler.errors import FrequencyOrderError, PopSamplerError, SchemaError
from merlin_popsampler.store import artifact
from merlin_popsampler.store.stock_files import read_sizes

from .counting import count_keys
from .id_column import IdColumn
from .id_order import (
    Order,
    PossibleIds,
    checked,
    measure,
    passed_counts,
    remapped,
    violation_of,
)
from .keys.columns import plain_columns
from .nvtabular_compat import StatOperator
from .stable_ids import STABLE
from .stored_operator import StoredOperator
from .upstream import IdGroups, check_unchanged, encoder_of, last_id, most_times

MODES = ("count", "vocabulary")
ON_VIOLATION = ("raise", "warn", "remap")


class FrequencyOrder(StoredOperator, StatOperator):  # type: ignore[misc]
    """Checks that ids are in frequency order, or renumbers them, and records it in the schema.

    Put it after the node that produces the ids of the model: an encoder, or a filter after one. Ids
    that the encoder reserves (padding, null, unknown keys) are not items. If the schema does not
    name an encoder, every id in the data is an item. `min_id` and `max_id` are the smallest and the
    largest item in the data.

    Rows may be removed between the encoder and this operator, but ids must not change, since a
    schema does not show that. For example, a `LambdaOp(lambda ids: ids - 2)` would move items to
    reserved ids. If an id occurs more often than in the encoder's counts, the fit raises an error.

    Args:
      mode: "count" counts the ids in one pass over the data. "vocabulary" reads the counts that
        the encoder wrote, without a pass. That is correct only directly after the encoder, which
        the operator cannot check.
      on_violation: what to do if ids are not in frequency order. "raise" raises an error; "warn"
        warns, and records it in the schema; "remap" (only with mode "count") renumbers ids by
        (count descending, old id ascending). Reserved ids, and ids outside of the range in the
        fit's data, stay. The property `cat_path` is removed, since it would decode old ids.
      groups: lists of columns that share one vocabulary. They are counted and renumbered together.
        Columns that FrequencyCategorify encoded jointly, and copies of one encoded column, are
        grouped automatically.
      steps: largest number of steps of the popularity curve in the schema, `>= 1`.
      out_path: folder in which the fit writes counts and maps, below `frequency_order`. The file
        of counts has 8 bytes or more for each id up to the largest.

    Raises:
      PopSamplerError: arguments contradict each other.
      FrequencyOrderError: raised by `fit` if ids are not in order, negative, null, fractional,
        above 1e9, or not from the encoder; if columns of one vocabulary would be renumbered
        differently; or if the encoder's vocabulary is missing or has no counts.

    Examples:
      >>> import pandas as pd
      >>> from merlin.io import Dataset
      >>> from nvtabular import Workflow
      >>> shelves = Dataset(pd.DataFrame({"shelf": [7, 9, 9, 9, 8, 8]}), cpu=True)
      >>> workflow = Workflow(["shelf"] >> FrequencyOrder(on_violation="remap"))
      >>> workflow.fit_transform(shelves).compute()["shelf"].tolist()
      [9, 7, 7, 7, 8, 8]
    """

    subfolder = artifact.FREQUENCY_ORDER

    def __init__(
        self,
        mode: str = "count",
        on_violation: str = "raise",
        groups: Optional[Sequence[Sequence[str]]] = None,
        steps: int = MAX_STEPS,
        out_path: Any = "./",
    ) -> None:
        super().__init__()
        choice("mode", mode, MODES)
        choice("on_violation", on_violation, ON_VIOLATION)
        if mode == "vocabulary" and (on_violation == "remap" or groups):
            raise PopSamplerError(
                "Expected mode='count' for on_violation='remap' and for groups: mode='vocabulary' "
                f"reads the counts too late for these. Received: mode={mode!r}, "
                f"on_violation={on_violation!r}, groups={groups!r}. Leave mode at its default."
            )
        self.mode = mode
        self.on_violation = on_violation
        self.steps = whole_number("steps", steps, 1, f"By default it is {MAX_STEPS}.")
        self.out_path = out_path
        self._id_groups = IdGroups(_checked_groups(groups))
        self._possible: Dict[str, PossibleIds] = {}
        self._unproven: Dict[str, int] = {}
        self._unread = False
        self._init_files()

    def fit(self, col_selector: Any, ddf: Any) -> Any:
        """Builds the task that counts the ids; mode "vocabulary" counts nothing.

        Args:
          col_selector: the columns of ids.
          ddf: dask data frame of pandas or cuDF partitions.

        Returns:
          A dask `Delayed` of a dict, the argument of `fit_finalize`. `Workflow.fit` computes it.

        Raises:
          PopSamplerError: two groups have the same name, or `out_path` cannot be written.
        """
        if self.mode == "vocabulary":
            self._unread = True
            return dask.delayed({})
        groups = self._id_groups.of(col_selector.names)
        folder = self._begin([group.name for group in groups])
        self._unproven.update({group.name: len(group.columns) for group in groups})
        names = [group.name for group in groups]
        counts = count_keys(ddf, groups, dict.fromkeys(names, 8), dict.fromkeys(names, 1))
        return dask.delayed(dict)(
            [
                dask.delayed(measure)(
                    *counts[group.name],
                    group.name,
                    self._id_groups.reserved(group),
                    self.on_violation == "remap",
                    self.steps,
                    folder,
                )
                for group in groups
            ]
        )

    def clear(self) -> None:
        """Starts a new fit; the previous fit stays in use until the new one is complete."""
        super().clear()
        self._possible = {}

    def transform(self, col_selector: Any, df: Any) -> Any:
        """Returns a copy of a frame, with new ids if the fit renumbered them.

        Args:
          col_selector: the columns of ids.
          df: pandas or cuDF frame.

        Raises:
          FrequencyOrderError: a value cannot be an id of the encoder, or the last fit failed.
        """
        frame = df.copy(deep=False)
        for column in col_selector.names:
            name = self._id_groups.name_of(column)
            if name in self._stale:
                raise FrequencyOrderError(
                    f"Column {column!r}: expected a completed fit. Received: one that failed, so "
                    "that the encoder's ids may not be those of the earlier fit. Fit the workflow "
                    "again, or load the one that was saved."
                )
            order = self.fits.get(name)
            possible = self._possible.get(column, PossibleIds())
            (ids,) = plain_columns(df, [column])
            if order is not None and order.remaps:
                frame[column] = remapped(ids, order, possible)
            else:
                checked(ids, possible)
        return frame

    def compute_output_schema(
        self, input_schema: Schema, col_selector: Any, prev_output_schema: Optional[Schema] = None
    ) -> Schema:
        """Adds the popularity to the schema, and removes a `cat_path` that would decode old ids.

        Merlin calls it before and after the fit. Before, the input schema shows which columns share
        a vocabulary. After, it shows whether the encoder can have produced the counted ids.

        Raises:
          FrequencyOrderError: the encoder cannot have produced the ids; some columns of a joint
            vocabulary are missing, or would be renumbered differently; or the ids come from
            `FrequencyCategorify(base=...)`, and must keep their numbers.
        """
        _check_may_be_ordered(input_schema)
        for column in input_schema:
            if self._id_groups.name_of(column.name) not in self._fresh:
                self._id_groups.encoders[column.name] = encoder_of(column)
        try:
            self._id_groups.check_paths(input_schema, self._fresh)
            for column in input_schema:
                self._check_unchanged(column)
        except BaseException:
            self._withdraw()
            raise
        finally:
            for column in input_schema:
                self._unproven.pop(self._id_groups.name_of(column.name), None)
        try:
            return super().compute_output_schema(input_schema, col_selector, prev_output_schema)
        finally:
            self._unread = False

    def compute_column_schema(self, col_name: str, input_schema: Schema) -> ColumnSchema:
        """Returns the schema of a column, which keeps the dtype of the ids."""
        return IdColumn.of(super().compute_column_schema(col_name, input_schema))

    def _compute_properties(self, col_schema: ColumnSchema, input_schema: Schema) -> ColumnSchema:
        col_schema = super()._compute_properties(col_schema, input_schema)
        if self.mode == "vocabulary":
            return self._audited(col_schema)
        name = self._id_groups.name_of(col_schema.name)
        order = self._fresh.get(name)
        if order is None:
            return col_schema
        if order.remaps and "cat_path" in col_schema.properties:
            col_schema = col_schema.with_properties({"cat_path": None})
        return with_popularity(_with_room(col_schema, name, order.metadata), order.metadata)

    def _audited(self, col_schema: ColumnSchema) -> ColumnSchema:
        """Returns the column with the popularity from its encoder's counts (mode "vocabulary")."""
        path = col_schema.properties.get("cat_path")
        if path is None:
            if self._unread:  # after the fit; before it, an encoder has no vocabulary yet
                raise FrequencyOrderError(
                    f"Column {col_schema.name!r}: expected the encoder's vocabulary. Received: a "
                    "column without cat_path, such as ids of your own. Let FrequencyOrder count "
                    "the ids (mode='count')."
                )
            return col_schema
        domain = col_schema.properties.get("domain") or {}
        name = domain.get("name") or col_schema.name
        min_id = self._id_groups.encoders[col_schema.name].reserved
        sizes = read_sizes(str(path), name, min_id)
        metadata = PopularityMetadata.from_counts(sizes, min_id, "vocabulary", self.steps)
        _check_belongs(col_schema, metadata, sizes)
        self._possible[col_schema.name] = PossibleIds(metadata.max_id)
        violation = violation_of(sizes, min_id)
        if violation:
            self._report(col_schema.name, violation)
        return with_popularity(col_schema, metadata)

    def _check(self, name: str, found: Order) -> None:
        if found.violation and self.on_violation != "remap":
            self._report(name, found.violation)
        if found.gaps:
            warnings.warn(
                f"Column {name!r}: {found.gaps} were never seen; each counts as seen once, so that "
                "it can be drawn and corrected.",
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

    def _check_unchanged(self, column: ColumnSchema) -> None:
        """Checks once after a fit that the encoder can have produced the ids that were counted."""
        name = self._id_groups.name_of(column.name)
        if name not in self._unproven or name not in self._fresh:
            return
        encoder = self._id_groups.encoders[column.name]
        most = most_times(column, encoder, self._unproven[name])
        order = self.fits[name]
        if most is not None:
            check_unchanged(column.name, passed_counts(order), most)
        self._possible[column.name] = PossibleIds(
            last_id(column, encoder, most, order.metadata.max_id),
            order.dtypes.get(column.name, "") if encoder.fitted_here else "",
        )


def _check_may_be_ordered(schema: Schema) -> None:
    """Raises an error for ids that must keep their numbers (`FrequencyCategorify(base=...)`)."""
    stable = [column.name for column in schema if STABLE in column.properties]
    if stable:
        raise FrequencyOrderError(
            f"Columns {stable}: expected ids in frequency order, or ids that may be renumbered. "
            "Received: ids of FrequencyCategorify(base=...), which keep their numbers. Filter the "
            "data before the encoder, which counts its own rows, and leave out FrequencyOrder."
        )


def _with_room(
    col_schema: ColumnSchema, vocabulary: str, metadata: PopularityMetadata
) -> ColumnSchema:
    """Returns the column with a domain that holds every id, if its own is missing or too small."""
    domain = col_schema.properties.get("domain") or {"name": vocabulary}
    largest = domain.get("max")
    if not metadata.domain.cardinality or (largest is not None and largest >= metadata.max_id):
        return col_schema
    return col_schema.with_properties({"domain": {**domain, "min": 0, "max": metadata.max_id}})


def _check_belongs(col_schema: ColumnSchema, found: PopularityMetadata, sizes: Ints) -> None:
    """Raises an error if the vocabulary at the `cat_path` contradicts the column's schema."""
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


def _checked_groups(groups: Any) -> List[Tuple[str, ...]]:
    listed = (list, tuple)
    groups = [] if groups is None else groups
    fine = isinstance(groups, listed) and all(
        isinstance(group, listed) and all(isinstance(name, str) for name in group)
        for group in groups
    )
    if not fine:
        raise PopSamplerError(
            f"Expected groups as lists of names of columns. Received: {truncate_repr(groups)}. "
            "Pass [['item', 'last_item']] for two columns of one vocabulary."
        )
    return [tuple(group) for group in groups]
