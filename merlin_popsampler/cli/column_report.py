"""Reads the data of a report: the popularity metadata of a column, its counts and its keys.

A report should start fast. So it reads files without NVTabular and TensorFlow, and loads pandas
only to read counts or keys.
"""

import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Dict, List, Optional

import numpy as np

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.ranks_file import read_ids_by_rank
from merlin_popsampler.contract.schema import column_popularity, find_item_column
from merlin_popsampler.core.segments import Floats, Ints
from merlin_popsampler.errors import PopSamplerError, SchemaError
from merlin_popsampler.store import artifact, counts_file, filesystem
from merlin_popsampler.store.artifact import FitArtifact
from merlin_popsampler.store.fit_history import FitHistory, fits_in
from merlin_popsampler.store.fit_sources import fits_named_by, folder_path, schema_in

if TYPE_CHECKING:
    import pandas as pd

_WORKFLOW = "workflow.pkl"


@dataclass(frozen=True)
class ColumnReport:
    """Holds the popularity metadata of a column, and its counts and keys if they are known.

    Args:
      name: name of the column or of its vocabulary.
      metadata: range, order and popularity curve of the ids.
      counts: int64 `[max_id + 1]`, counts of the ids from 0 on; None if they are not known.
      fits: the fits that assigned the ids; empty if they are not known.
    """

    name: str
    metadata: PopularityMetadata
    counts: Optional[Ints] = None
    fits: FitHistory = field(default_factory=FitHistory)

    @property
    def measured(self) -> bool:
        """Whether the order was measured; an assumed order has no counts and no curve."""
        return self.counts is not None or self.metadata.steps is not None

    @property
    def item_counts(self) -> Floats:
        """Counts of the items by rank, float64 `[ranks]`; without a counts file, by the curve.

        Raises:
          SchemaError: the order is assumed, ids are out of order and their counts are not known,
            or the catalog has no items.
        """
        if not self.measured:
            received = (
                f"a schema whose evidence is {self.metadata.evidence!r}"
                if self.metadata.frequency_ordered
                else "a schema without a curve, since its ids are out of frequency order"
            )
            raise SchemaError(
                f"Column {self.name!r}: expected a popularity that was measured. Received: "
                f"{received}. Encode with FrequencyCategorify, or add "
                "FrequencyOrder(on_violation='remap') to the workflow."
            )
        if self.counts is not None and self.metadata.domain.size:
            return np.maximum(self.counts[self.ids], 1).astype(np.float64)
        return self.metadata.distribution().probs() * self.metadata.curve.total

    @cached_property
    def ids(self) -> Ints:
        """The id of each rank, int64 `[ranks]`; the ids from `min_id` on if ranks are not known.

        Raises:
          SchemaError: the file of ids by rank is absent or changed.
        """
        return read_ids_by_rank(self.metadata, self.name)

    @cached_property
    def keys(self) -> "Optional[pd.DataFrame]":
        """Keys of the items by rank; None if no encoder assigned the ids."""
        if self.fits.encoder is not None:
            frame = self.fits.encoder.table(artifact.UNIQUE)
        elif self.fits.keys_path is not None:
            frame = filesystem.read_table(self.fits.keys_path)
        else:
            return None
        keys = _rows(frame, _encoders_ids(self.ids, self.fits.last))
        sizes = artifact.size_column(self.fits.name)
        return keys if keys is None else keys.drop(columns=sizes, errors="ignore")


def read_column_report(
    path: str,
    column: Optional[str] = None,
    counts_path: Optional[str] = None,
    with_keys: bool = False,
) -> ColumnReport:
    """Reads the item column of a data set, a schema file, a saved workflow or an `out_path`.

    The schema of a saved workflow is a pickle, for which NVTabular must be loaded. So it is read
    only if the workflow's fits are not sufficient: there are several and `column` is None, or none
    has popularity metadata.

    Args:
      path: path of the file or folder, on any file system.
      column: name of the column, if several are tagged as item id or there are several
        vocabularies.
      counts_path: path of the counts file, if it is elsewhere.
      with_keys: whether to read the fit that the schema of a data set names, if it is at hand.

    Raises:
      SchemaError: the path contains none of these, or no such column.
      PopSamplerError: the counts do not belong to the schema.
    """
    path = folder_path(path)
    fits = fits_in(path)
    schema = schema_in(path)
    if schema is None:
        name = _name_meant(path, sorted(fits), column)
        meant = fits.get(name, [])
        if len(meant) == 1 and meant[0].last is not None:
            return _column(name, meant[0].last.placed_metadata, meant[0], counts_path)
        schema = _schema_of_workflow(path, [] if column else _readable(fits))
    elif with_keys:
        fits = _named_fits(schema)
    found = find_item_column(schema, column)
    metadata = column_popularity(found)
    names = (found.name, (found.properties.get("domain") or {}).get("name", ""))
    for one in (one for name in names for one in fits.get(name, [])):
        if one.last is None or one.last.metadata.digest == metadata.digest:
            return _column(found.name, metadata, one, counts_path)
    return _column(found.name, metadata, FitHistory(), counts_path)


def _named_fits(schema: Any) -> Dict[str, List[FitHistory]]:
    """Returns the fits that a schema names; none if one cannot be read, as on another machine."""
    try:
        return fits_named_by(schema)
    except (PopSamplerError, OSError, ValueError, ImportError):
        return {}


def _readable(fits: Dict[str, List[FitHistory]]) -> List[str]:
    """Returns the names of the vocabularies whose popularity needs no schema."""
    lasts = {name: [one.last for one in found] for name, found in sorted(fits.items())}
    return [name for name, last in lasts.items() if len(last) == 1 and last[0] is not None]


def _schema_of_workflow(path: str, names: List[str]) -> Any:
    """Reads the output schema of a saved workflow.

    Args:
      path: folder of the workflow.
      names: vocabularies of which the caller can name one, so that the schema is not needed.
    """
    if _WORKFLOW not in filesystem.names_in(path):
        raise SchemaError(
            "Expected a data set's folder, a schema.pbtxt or schema.json, a saved workflow, or an "
            f"operator's out_path. Received: {path}, which is none of these. Pass the folder that "
            "to_parquet or Workflow.save wrote. For ids of your own, call "
            "merlin_popsampler.check_order(counts) in Python."
        )
    advice = f" Pass one of {names} as column to avoid this." if names else ""
    warnings.warn(
        "Loading NVTabular, and TensorFlow if it is installed, to find the item column in the "
        f"schema of {path}/{_WORKFLOW}.{advice}",
        stacklevel=2,
    )
    import nvtabular

    return nvtabular.Workflow.load(path).output_schema


def _name_meant(path: str, names: List[str], column: Optional[str]) -> str:
    """Selects one of the fitted columns; "" if that needs the schema of the saved workflow."""
    if (column or len(names)) in (1, *names):
        return column or names[0]
    if names and _WORKFLOW not in filesystem.names_in(path):
        raise SchemaError(
            f"Expected one column that was fitted in {path}, or its name. Received: {names} and "
            f"column={column!r}. Pass one of these names as column."
        )
    return ""


def _column(
    name: str, metadata: PopularityMetadata, fits: FitHistory, counts_path: Optional[str]
) -> ColumnReport:
    """Returns the report of a column, with its counts read and checked."""
    if counts_path is not None:
        counts = counts_file.counts_of(filesystem.read_table(counts_path), counts_path)
    elif fits.last is not None:
        counts_path = fits.last.path(artifact.POPULARITY)
        counts = counts_file.read_counts(fits.last)
    else:
        return ColumnReport(name, metadata, None, fits)
    expected, digest = metadata.domain.cardinality, counts_file.counts_digest([counts])
    if len(counts) != expected or metadata.digest not in (None, digest):
        raise PopSamplerError(
            f"Column {name!r}: expected the counts that its schema was made from ({expected} ids, "
            f"digest {metadata.digest}). Received: {counts_path} with {len(counts)} ids, digest "
            f"{digest}. Pass the popularity.<column>.parquet of the same fit."
        )
    return ColumnReport(name, metadata, counts, fits)


def _encoders_ids(ids: Ints, order: Optional[FitArtifact]) -> Ints:
    """Maps consecutive ids back to those of the encoder, if FrequencyOrder has renumbered them."""
    if order is None or artifact.MAP not in order.files or not len(ids):
        return ids
    table = order.table(artifact.MAP)
    old, new = table["id"].to_numpy(), table["new_id"].to_numpy()
    kept = (new >= ids[0]) & (new <= ids[-1])
    before = ids.copy()
    before[new[kept] - ids[0]] = old[kept]
    return before


def _rows(frame: "pd.DataFrame", ids: Ints) -> "Optional[pd.DataFrame]":
    """Returns the rows of an encoder's keys that have these ids; None if an id has no row.

    The index of the frame is the ids, unless it starts at 0. Then the user passed the vocabulary to
    Categorify (`vocabs=`), which shifts the index to get the ids.
    """
    if frame.index.min() == 0 or not np.isin(ids, frame.index).all():
        return None
    return frame.loc[ids].reset_index(drop=True)
