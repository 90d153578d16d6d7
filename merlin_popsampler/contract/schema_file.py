"""Reads a Merlin schema from its file, without Merlin, protobuf or pickle.

`merlin.schema` loads dask, and TensorFlow if it is installed. Training in PyTorch and the command
line need neither.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping

from merlin_popsampler.errors import SchemaError

from . import proto_text
from .files import is_file, read_bytes

_FILES = (".merlin/schema.json", "schema.pbtxt")
"""Files in the folder of a data set to which Merlin writes its schema, in order of preference."""
_ENDINGS = (".json", ".pbtxt")
_STRUCT = "[type.googleapis.com/google.protobuf.Struct]"
_DOMAINS = {"INT": ("int", int), "FLOAT": ("float", float)}
"""The prefix of the domain's field and the type of its limits, by the type of a feature.

A limit that is not written is 0.
"""


@dataclass(frozen=True)
class PlainColumn:
    """Holds the parts of a column's schema that the contract needs.

    Args:
      name: name of the column.
      tags: strings such as "item_id".
      properties: values as Merlin reads them, with numbers as floats.

    Examples:
      >>> PlainColumn("item", ["item_id"], {"num_buckets": None}).name
      'item'
    """

    name: str
    tags: List[str]
    properties: Dict[str, Any]


class PlainSchema(Dict[str, PlainColumn]):
    """Maps names to columns, in the order of the file.

    Examples:
      >>> PlainSchema(item=PlainColumn("item", ["item_id"], {})).column_names
      ['item']
    """

    @property
    def column_names(self) -> List[str]:
        """The names of the columns."""
        return list(self)


def schema_files(path: str) -> List[str]:
    """Lists the files that may hold the schema of a path, in the order in which Merlin reads them.

    Args:
      path: path of a schema's file, or of the folder of a data set.

    Examples:
      >>> schema_files("train")
      ['train/.merlin/schema.json', 'train/schema.pbtxt']
      >>> schema_files("train/schema.pbtxt")
      ['train/schema.pbtxt']
    """
    if path.endswith(_ENDINGS):
        return [path]
    return [f"{path.rstrip('/')}/{name}" for name in _FILES]


def find_schema(path: Any) -> PlainSchema:
    """Reads the schema of a data set's folder, or a schema's file.

    Args:
      path: a string or `os.PathLike`; fsspec opens remote paths such as "s3://...".

    Raises:
      SchemaError: there is no such file, or it does not contain a schema.

    Examples:
      >>> import tempfile
      >>> from pathlib import Path
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = Path(folder, "schema.pbtxt")
      ...     written = path.write_text('feature { name: "item" type: INT int_domain { max: 7 } }')
      ...     find_schema(folder)["item"].properties
      {'domain': {'min': 0, 'max': 7}}
    """
    text = os.fspath(path)
    found = next(filter(is_file, schema_files(text)), None)
    if found is not None:
        return read_schema_file(found)
    raise SchemaError(
        f"Expected a data set's folder that holds {' or '.join(_FILES)}, or such a file. "
        f"Received: {text!r}, which has neither. Pass the folder that to_parquet wrote: a saved "
        "workflow's schema is read from the loaded Workflow."
    )


def read_schema_file(path: str) -> PlainSchema:
    """Reads a `.json` or `.pbtxt` file that Merlin wrote.

    Args:
      path: path of the file, local or on a file system that fsspec supports.

    Raises:
      SchemaError: the file cannot be read, or does not contain a schema.

    Examples:
      >>> import tempfile
      >>> from pathlib import Path
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = Path(folder, "schema.pbtxt")
      ...     written = path.write_text('feature { name: "item" annotation { tag: "item_id" } }')
      ...     read_schema_file(str(path))["item"].tags
      ['item_id']
    """
    try:
        text = read_bytes(path).decode("utf-8")
        columns = _columns_of_json(text) if path.endswith(".json") else _columns_of_proto(text)
        return PlainSchema((column.name, column) for column in columns)
    except Exception as error:  # json, the parser and the file systems raise different errors
        no_field = isinstance(error, KeyError)
        found = f"no field {error}" if no_field else f"{type(error).__name__}, {error}"
        raise SchemaError(
            f"Expected a Merlin schema in {path}. Received: {found}. "
            "Pass a schema that Merlin wrote."
        ) from error


def _columns_of_json(text: str) -> List[PlainColumn]:
    return [_column_of_json(feature) for feature in json.loads(text)["feature"]]


def _column_of_json(feature: Mapping[str, Any]) -> PlainColumn:
    annotation = feature.get("annotation", {})
    extra = (annotation.get("extraMetadata") or [{}])[0]
    properties = dict(extra["value"] if "@type" in extra else extra)
    kind = feature.get("type")
    prefix = _DOMAINS[kind][0] if kind in _DOMAINS else ""
    domain = feature.get(f"{prefix}Domain")
    return _column(feature["name"], annotation.get("tag", []), properties, kind, domain)


def _columns_of_proto(text: str) -> List[PlainColumn]:
    return [_column_of_proto(feature) for feature in proto_text.parse(text)["feature"]]


def _column_of_proto(feature: proto_text.Message) -> PlainColumn:
    annotation = _first(feature, "annotation", {})
    extra = _first(annotation, "extra_metadata", {})
    if _STRUCT in extra:  # protobuf prints a message of a type that it knows as text
        properties = proto_text.struct_of_text(extra[_STRUCT][0])
    else:
        properties = proto_text.read_struct(_first(extra, "value", b""))
    kind = _first(feature, "type", None)
    prefix = _DOMAINS[kind][0] if kind in _DOMAINS else ""
    found = _first(feature, f"{prefix}_domain", None)
    domain = None if found is None else {key: values[-1] for key, values in found.items()}
    if domain and "name" in domain:
        domain["name"] = str(domain["name"], "utf-8")
    tags = [str(tag, "utf-8") for tag in annotation.get("tag", [])]
    return _column(str(feature["name"][-1], "utf-8"), tags, properties, kind, domain)


def _first(message: proto_text.Message, name: str, default: Any) -> Any:
    """Returns the first value of a field."""
    return message.get(name, [default])[0]


def _column(
    name: str, tags: Any, properties: Dict[str, Any], kind: Any, domain: Any
) -> PlainColumn:
    if domain is not None:
        number = _DOMAINS[kind][1]
        limits = {limit: number(domain.get(limit, 0)) for limit in ("min", "max")}
        vocabulary = domain.get("name")
        properties["domain"] = {**limits, "name": vocabulary} if vocabulary else limits
    return PlainColumn(name, list(tags), properties)
