"""Finds the fits that a workflow, an operator, a schema or a folder holds, by vocabulary."""

from os import PathLike
from typing import Any, Dict, List, NamedTuple, Optional

from merlin_popsampler.contract.schema import operators_of, schema_of
from merlin_popsampler.contract.schema_file import PlainSchema, read_schema_file, schema_files

from . import filesystem
from .artifact import FitArtifact
from .fit_history import FitHistory, fits_in, histories
from .locations import fitted_at

Fits = Dict[str, List[FitHistory]]


class Source(NamedTuple):
    """Holds the schema and the fits that an object or a folder names.

    Attributes:
      where: name of the object or folder, for messages.
      schema: a `Schema` or `PlainSchema`; None if there is none.
      fits: fits by name of the vocabulary; None if only the `cat_path` in `schema` names them.
    """

    where: str
    schema: Any
    fits: Optional[Fits]


def read_source(source: Any) -> Source:
    """Reads the schema and the fits of a source, see `fits_of`."""
    if isinstance(source, (str, PathLike)):
        path = folder_path(source)
        schema = schema_in(path)
        return Source(path, schema, fits_in(path) if schema is None else None)
    if hasattr(source, "output_node"):
        return Source("a workflow", source.output_schema, _fits_of_workflow(source))
    where = type(source).__name__
    if hasattr(source, "fits"):
        return Source(where, None, histories([source.fits], {}))
    return Source(where, schema_of(source), None)


def fits_of(source: Any) -> Fits:
    """Returns the fits that a source holds, by the name of the vocabulary.

    Args:
      source: a fitted workflow or operator; the path of a saved workflow, of an operator's
        `out_path` or of a data set; or a Schema, Dataset or Loader.

    Raises:
      PopSamplerError: the source is of another type, or its files cannot be read.
    """
    found = read_source(source)
    return fits_named_by(found.schema) if found.fits is None else found.fits


def folder_path(source: Any) -> str:
    """Returns a path as a string that does not end with a slash."""
    return str(source).rstrip("/") or "/"


def schema_in(path: str) -> Optional[PlainSchema]:
    """Reads the schema of a file, or of a data set's folder; None if there is none.

    Raises:
      SchemaError: the file does not contain a schema.
    """
    found = next((file for file in schema_files(path) if filesystem.is_file(file)), None)
    return None if found is None else read_schema_file(found)


def _fits_of_workflow(workflow: Any) -> Fits:
    """Returns the fits that the operators of a workflow hold, by vocabulary."""
    operators = operators_of(workflow)
    fits: List[Dict[str, FitArtifact]] = [getattr(each, "fits", {}) for each in operators]
    keys = [getattr(each, "categories", {}) for each in operators if not hasattr(each, "fits")]
    return histories(fits, {name: path for found in keys for name, path in found.items()})


def fits_named_by(schema: Any) -> Fits:
    """Returns the fits of FrequencyCategorify to which the columns' `cat_path` leads.

    Raises:
      PopSamplerError: a manifest cannot be read.
    """
    found = {}
    for column in (schema[name] for name in schema.column_names):
        path = column.properties.get("cat_path")
        fitted = fitted_at(filesystem.absolute(str(path))) if path else None
        if fitted is not None:
            name = (column.properties.get("domain") or {}).get("name", column.name)
            found[name] = [FitHistory(name, fitted, fitted)]
    return found
