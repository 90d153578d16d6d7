"""A Merlin schema's file as plain data, which `contract.schema` reads like a Merlin schema.

`merlin.schema` loads dask, and TensorFlow where it is installed: a report has no use for either.
"""

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping

import fsspec

from merlin_popsampler.errors import SchemaError

_DOMAINS = {"INT": ("intDomain", int), "FLOAT": ("floatDomain", float)}
"""By a feature's type, where its domain is written and the kind of its limits; both are 0 where
nothing is written.
"""


@dataclass(frozen=True)
class PlainColumn:
    """What the contract asks of a column's schema.

    Args:
      name: of the column.
      tags: their words, such as "item_id".
      properties: as Merlin reads them, numbers as floats.
    """

    name: str
    tags: List[str]
    properties: Dict[str, Any]


class PlainSchema(Dict[str, PlainColumn]):
    """Columns by name, in the file's order."""

    @property
    def column_names(self) -> List[str]:
        """Names of the columns."""
        return list(self)


def read_schema_file(path: str) -> PlainSchema:
    """The schema of a `.json` or `.pbtxt` file that Merlin wrote, on any file system.

    Raises:
      SchemaError: a file that cannot be read, or holds no schema.
    """
    try:
        with fsspec.open(path, "rt", encoding="utf-8") as file:
            text = file.read()
        fields = json.loads(text) if path.endswith(".json") else _fields_of_text(text)
        columns = [_column(feature) for feature in fields["feature"]]
    except Exception as error:  # protobuf, json and the file systems each raise their own
        raise SchemaError(
            f"Expected a Merlin schema in {path}. Received: {type(error).__name__}, {error}. "
            "Pass a schema that Merlin wrote."
        ) from error
    return PlainSchema((column.name, column) for column in columns)


def _fields_of_text(text: str) -> Any:
    """The dict that the same schema's `.json` file holds, but for `extraMetadata`."""
    from google.protobuf import struct_pb2  # noqa: F401 - the kind of message in extra_metadata
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.text_format import Parse
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

    return MessageToDict(Parse(text, Schema()))


def _column(feature: Mapping[str, Any]) -> PlainColumn:
    annotation = feature.get("annotation", {})
    extra = (annotation.get("extraMetadata") or [{}])[0]
    properties = dict(extra["value"] if "@type" in extra else extra)
    place, number = _DOMAINS.get(feature.get("type", ""), ("", float))
    if place in feature:
        domain = {limit: number(feature[place].get(limit, 0)) for limit in ("min", "max")}
        name = feature[place].get("name")
        properties["domain"] = {**domain, "name": name} if name else domain
    return PlainColumn(feature["name"], list(annotation.get("tag", [])), properties)
