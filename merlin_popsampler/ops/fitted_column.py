"""What a report is about, read from wherever it lies: a contract, its counts and its keys."""

from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np
import pandas as pd
from merlin.schema import Schema
from merlin.schema.io.tensorflow_metadata import TensorflowMetadata

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.schema import column_popularity, find_item_column
from merlin_popsampler.core.pieces import Floats, Ints
from merlin_popsampler.errors import PopSamplerError, SchemaError

from . import fit_folder, popularity_file, storage
from .fit_folder import Fitted


@dataclass(frozen=True)
class FittedColumn:
    """A column's contract, and its counts and keys where they are known.

    Args:
      name: of the column.
      metadata: its contract.
      counts: int64 `[max_id + 1]`, of the ids from 0 on.
      keys: data frame of the keys of the ids from `min_id` on.
    """

    name: str
    metadata: PopularityMetadata
    counts: Optional[Ints] = None
    keys: Optional[pd.DataFrame] = None

    @property
    def item_counts(self) -> Floats:
        """Counts of the items in order, float64 `[size]`; the curve's where no file was given."""
        domain = self.metadata.domain
        if self.counts is not None:
            return np.maximum(self.counts[domain.min_id :], 1).astype(np.float64)
        total = 1 if self.metadata.steps is None else self.metadata.curve.total
        return self.metadata.law().probs() * total


def read_fitted_column(
    path: str, column: Optional[str] = None, counts_path: Optional[str] = None
) -> FittedColumn:
    """The item column of a data set, a schema file, a saved workflow, or an operator's out_path.

    Without a schema, what was fitted last tells as much as a saved workflow.

    Args:
      path: of the file or folder.
      column: where several are tagged as item id, or several were fitted.
      counts_path: of the counts, where they do not lie there.

    Raises:
      SchemaError: nothing of these is there, or no such column.
      PopSamplerError: counts that do not belong to the schema.
    """
    fits = _fits(path)
    try:
        schema = read_schema(path)
    except SchemaError:
        if not fits:
            raise
        name, latest = _only(fits, column, path)
        own: Optional[Fitted] = latest
        metadata, vocabulary = latest.metadata, name
    else:
        found = find_item_column(schema, column)
        name, metadata = found.name, column_popularity(found)
        vocabulary = (found.properties.get("domain") or {}).get("name") or name
        own = next((fit for _, fit in fits if fit.metadata.digest == metadata.digest), None)
    counts = None
    if counts_path is not None:
        counts = popularity_file.counts_of(storage.read_table(counts_path), counts_path)
        _check_counts(name, metadata, counts, counts_path)
    elif own is not None:
        counts_path = own.path(fit_folder.POPULARITY)
        counts = popularity_file.counts_of(own.table(fit_folder.POPULARITY), counts_path)
    encoders = [fit for n, fit in fits if n == vocabulary and fit_folder.UNIQUE in fit.files]
    keys = _keys(own, encoders, vocabulary)
    return FittedColumn(name, metadata, counts, keys)


def read_schema(path: str) -> Schema:
    """The schema of a data set's folder, a schema file, or a saved workflow's folder.

    Raises:
      SchemaError: nothing of these is there, or it cannot be read.
    """
    place = Path(path)
    for candidate in (place, place / "schema.pbtxt", place / ".merlin" / "schema.json"):
        if candidate.is_file() and candidate.suffix in (".pbtxt", ".json"):
            return _parsed(candidate)
    if (place / "workflow.pkl").is_file():
        import nvtabular

        return nvtabular.Workflow.load(str(place)).output_schema
    raise SchemaError(
        "Expected a data set's folder, a schema.pbtxt or schema.json, or a saved workflow. "
        f"Received: {path}, which is none of these. Pass the folder that to_parquet or "
        "Workflow.save wrote."
    )


def _parsed(file: Path) -> Schema:
    readers = {".json": TensorflowMetadata.from_json, ".pbtxt": TensorflowMetadata.from_proto_text}
    try:
        return readers[file.suffix](file.read_text(encoding="utf-8")).to_merlin_schema()
    except Exception as error:  # protobuf, betterproto and json each raise their own
        raise SchemaError(
            f"Expected a Merlin schema in {file}. Received: {type(error).__name__}, {error}. "
            "Pass a schema that Merlin wrote."
        ) from error


def _fits(path: str) -> List[Tuple[str, Fitted]]:
    """What was fitted and lies in a folder, by name, the latest first."""
    fits = [entry for fit in fit_folder.fits_below(path) for entry in fit.items()]
    return fits[::-1]


def _only(fits: List[Tuple[str, Fitted]], column: Optional[str], path: str) -> Tuple[str, Fitted]:
    """The latest fit of the column, or of the only one that was fitted."""
    names = sorted({name for name, _ in fits})
    if (column or len(names)) not in (1, *names):
        raise SchemaError(
            f"Expected one column that was fitted in {path}, or its name. Received: {names} and "
            f"column={column!r}. Pass one of these names as column."
        )
    return next((name, fit) for name, fit in fits if name == (column or names[0]))


def _keys(own: Optional[Fitted], encoders: List[Fitted], vocabulary: str) -> Optional[pd.DataFrame]:
    """Keys of the ids from `min_id` on; those that an encoder gave before ids were put in order.

    Args:
      own: the fit that the column's ids are of.
      encoders: fits of the column's vocabulary, the latest first.
      vocabulary: its name.
    """
    if own is None:
        return None
    encoder = own if fit_folder.UNIQUE in own.files else next(iter(encoders), None)
    if encoder is None:
        return None
    frame = encoder.table(fit_folder.UNIQUE)
    keys = frame[[name for name in frame.columns if name != fit_folder.size_column(vocabulary)]]
    if fit_folder.MAP in own.files:
        mapped = own.table(fit_folder.MAP).set_index("id")["new_id"]
        keys = keys.set_axis(mapped.reindex(keys.index).fillna(-1).astype("int64"))
    domain = own.metadata.domain
    return keys.reindex(range(domain.min_id, domain.max_id + 1)).reset_index(drop=True)


def _check_counts(name: str, metadata: PopularityMetadata, counts: Ints, path: str) -> None:
    expected = metadata.domain.cardinality
    digest = popularity_file.counts_digest(counts)
    if len(counts) != expected or metadata.digest not in (None, digest):
        raise PopSamplerError(
            f"Column {name!r}: expected the counts that its schema was made from ({expected} ids, "
            f"digest {metadata.digest}). Received: {path} with {len(counts)} ids, digest {digest}. "
            "Pass the popularity.<column>.parquet of the same fit."
        )
