"""What a report is about, read from wherever it lies: a contract, its counts and its keys."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import List, Optional

import numpy as np
import pandas as pd
from merlin.schema import Schema
from merlin.schema.io.tensorflow_metadata import TensorflowMetadata

from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.schema import column_popularity, find_item_column
from merlin_popsampler.core.pieces import Floats, Ints
from merlin_popsampler.core.steps import MAX_STEPS
from merlin_popsampler.errors import PopSamplerError, SchemaError

from . import fit_folder, storage
from .vocabulary import read_min_id


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
    """The item column of a data set, a schema file, a saved workflow, or a folder of vocabularies.

    A folder without a schema that holds `popularity.*`, `meta.*` and `unique.*` files (as the
    `out_path` of FrequencyCategorify does) tells as much as a saved workflow.

    Args:
      path: of the file or folder.
      column: where several are tagged as item id, or several vocabularies lie in the folder.
      counts_path: of the counts, where they do not lie there.

    Raises:
      SchemaError: nothing of these is there, or no such column.
      PopSamplerError: counts that do not belong to the schema.
    """
    try:
        schema = read_schema(path)
    except SchemaError:
        folder = _vocabulary_folder(path)
        if folder is None:
            raise
        return _column_of_vocabulary(folder, column)
    found = find_item_column(schema, column)
    metadata = column_popularity(found)
    vocabulary = (found.properties.get("domain") or {}).get("name") or found.name
    counts_path = counts_path or _beside(path, fit_folder.POPULARITY, vocabulary)
    counts = None if counts_path is None else storage.read_counts(counts_path)
    if counts is not None:
        _check_counts(found.name, metadata, counts, str(counts_path))
    keys_path = _beside(path, fit_folder.UNIQUE, vocabulary)
    keys = None if keys_path is None else _read_keys(keys_path, vocabulary)
    return FittedColumn(found.name, metadata, counts, keys)


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


def _vocabulary_folder(path: str) -> Optional[Path]:
    """The folder of counts files that a path names, itself or as an operator's `out_path`."""
    for folder in (Path(path), Path(path) / fit_folder.CATEGORIES):
        if _names_in(folder):
            return folder
    return None


def _column_of_vocabulary(folder: Path, column: Optional[str]) -> FittedColumn:
    names = _names_in(folder)
    if (column or len(names)) not in (1, *names):
        raise SchemaError(
            f"Expected one vocabulary in {folder}, or its name. Received: {names} and "
            f"column={column!r}. Pass one of these names as column."
        )
    name = column or names[0]
    counts_path = fit_folder.file_of(str(folder), fit_folder.POPULARITY, name)
    counts = storage.read_counts(counts_path)
    min_id = read_min_id(fit_folder.beside(counts_path, fit_folder.META))
    found = PopularityMetadata.from_counts(counts[min_id:], min_id, "vocabulary", MAX_STEPS)
    keys = _read_keys(fit_folder.beside(counts_path, fit_folder.UNIQUE), name)
    return FittedColumn(name, replace(found, digest=storage.counts_digest(counts)), counts, keys)


def _names_in(folder: Path) -> List[str]:
    """Names of the vocabularies whose counts lie in a folder."""
    files = (file.name for file in folder.iterdir()) if folder.is_dir() else ()
    return fit_folder.names_in(files, fit_folder.POPULARITY)


def _beside(path: str, kind: str, name: str) -> Optional[str]:
    """A file of a saved workflow, or of an operator's out_path, if it is there."""
    for subfolder in (fit_folder.CATEGORIES, fit_folder.FREQUENCY_ORDER):
        candidate = fit_folder.file_of(fit_folder.folder_of(path, subfolder), kind, name)
        if storage.exists(candidate):
            return candidate
    return None


def _read_keys(path: str, vocabulary: str) -> pd.DataFrame:
    frame = storage.read(path).reset_index(drop=True)
    sizes = fit_folder.size_column(vocabulary)
    keys: List[str] = [name for name in frame.columns if name != sizes]
    return frame[keys]


def _check_counts(name: str, metadata: PopularityMetadata, counts: Ints, path: str) -> None:
    expected = metadata.domain.cardinality
    digest = storage.counts_digest(counts)
    if len(counts) != expected or metadata.digest not in (None, digest):
        raise PopSamplerError(
            f"Column {name!r}: expected the counts that its schema was made from ({expected} ids, "
            f"digest {metadata.digest}). Received: {path} with {len(counts)} ids, digest {digest}. "
            "Pass the popularity.<column>.parquet of the same fit."
        )
