"""Finds the item-id column of a Merlin schema, and reads and writes its popularity.

This module never imports `merlin.schema`, which loads dask, and TensorFlow if it is installed.
`schema_file` reads the schema of a path without Merlin. If the caller passes an object of Merlin,
that module is loaded already.
"""

import os
import sys
import warnings
from typing import TYPE_CHECKING, Any, List, Mapping, Optional

from merlin_popsampler.core.checks import truncate_repr, whole_number
from merlin_popsampler.core.domain import FIRST_OOV_ID, IdDomain
from merlin_popsampler.errors import PopSamplerError, SchemaError

from .caller import caller_level
from .metadata import PROPERTY, PopularityMetadata
from .schema_file import PlainSchema, find_schema

if TYPE_CHECKING:
    from merlin.schema import ColumnSchema, Schema


def read_popularity(source: Any, column: Optional[str] = None) -> PopularityMetadata:
    """Reads the popularity of the item-id column from a schema.

    Args:
      source: a Merlin Schema, Dataset, dataloader, or a fitted Workflow; or the path of a data
        set's folder, of a `schema.json` or of a `schema.pbtxt`, which is read without Merlin.
      column: name of the column; None finds the one that is tagged as item id.

    Returns:
      The metadata of the column. If the column has no property `popularity` but those that
      Categorify writes, the range follows from these, frequency order is assumed
      (`evidence="assumed"`), and a warning says so.

    Raises:
      SchemaError: there is no schema, no such column, or not exactly one item-id column; the
        property `popularity` is not valid, or exceeds the domain of the column; or no property
        states the range of the ids.

    Examples:
      >>> from merlin.schema import ColumnSchema, Schema, Tags
      >>> metadata = PopularityMetadata.from_counts([9, 5, 5], 3, "counted", 256)
      >>> column = with_popularity(ColumnSchema("item", [Tags.ITEM_ID]), metadata)
      >>> read_popularity(Schema([column])).steps
      '3:9,4:10,6'
    """
    return column_popularity(find_item_column(schema_of(source), column))


def schema_of(source: Any) -> "Schema":
    """Returns the Schema of a Schema, Dataset, dataloader, fitted Workflow, or of a path.

    Raises:
      SchemaError: the source has no schema.

    Examples:
      >>> from merlin.schema import ColumnSchema, Schema
      >>> schema_of(Schema([ColumnSchema("item")])).column_names
      ['item']
    """
    if isinstance(source, (str, os.PathLike)):
        return find_schema(source)
    if isinstance(source, PlainSchema):
        return source
    # An object of Merlin implies that its module is loaded.
    Schema = getattr(sys.modules.get("merlin.schema"), "Schema", ())  # noqa: N806 - a class
    if isinstance(source, Schema):
        return source
    # The input schema of a loader has the item id even if a transform makes it a target. The input
    # schema of a workflow is that of the raw data.
    is_loader = hasattr(source, "input_schema") and hasattr(source, "dataset")
    for name in ("input_schema",) if is_loader else ("output_schema", "schema"):
        schema = getattr(source, name, None)
        if isinstance(schema, Schema):
            return schema
    raise SchemaError(
        "Expected a Merlin Schema, Dataset, Loader or fitted Workflow, or the path of a data set. "
        f"Received: {type(source).__name__} without a schema. "
        "Fit the workflow, or pass the data set that it wrote."
    )


def operators_of(workflow: Any) -> List[Any]:
    """Returns the operators of a fitted Workflow of NVTabular, the last one first."""
    nodes, seen = [workflow.output_node], []
    while nodes:
        node = nodes.pop()
        if node not in seen:
            seen.append(node)
            nodes += node.parents_with_dependencies
    return [node.op for node in seen]


def find_item_column(schema: "Schema", column: Optional[str] = None) -> "ColumnSchema":
    """Returns the column of a name, or the one column that is tagged as item id.

    Of several item-id columns that share one joint vocabulary, it returns the first.

    Args:
      schema: the schema.
      column: name of the column; None finds it by its tag.

    Raises:
      SchemaError: there is no such column, or not exactly one item-id column.

    Examples:
      >>> from merlin.schema import ColumnSchema, Schema, Tags
      >>> columns = [ColumnSchema("user"), ColumnSchema("item", [Tags.ITEM_ID])]
      >>> find_item_column(Schema(columns)).name
      'item'
    """
    if column is not None:
        if column not in schema.column_names:
            raise SchemaError(
                f"Expected a column {column!r}. Received: columns {schema.column_names}. "
                "Pass one of these names."
            )
        return schema[column]
    tagged = [schema[name] for name in schema.column_names if _is_item_id(schema[name])]
    if not tagged:
        known = [name for name in schema.column_names if PROPERTY in schema[name].properties]
        instead = f" Or pass column={known[0]!r}." if known else ""
        raise SchemaError(
            "Expected a column tagged as item id. Received: none among "
            f"{schema.column_names}. Tag it in the workflow (`>> TagAsItemID()`), and pass the "
            f"workflow or the data set that it wrote: a data frame has lost the tags.{instead}"
        )
    if len(tagged) > 1 and not _one_joint_vocabulary(tagged):
        raise SchemaError(
            "Expected one column tagged as item id. Received: "
            f"{[tag.name for tag in tagged]}. Name the one that holds the item ids, for example "
            f"column={tagged[0].name!r} (an aggregate such as a count keeps the tag, but holds "
            "no ids)."
        )
    return tagged[0]


def column_popularity(column: "ColumnSchema") -> PopularityMetadata:
    """Reads the popularity of one column schema; see `read_popularity`.

    Raises:
      SchemaError: the property `popularity` is not valid, or no property states the range of the
        ids.

    Examples:
      >>> from merlin.schema import ColumnSchema
      >>> metadata = PopularityMetadata(3, 5, False, "counted")
      >>> column_popularity(with_popularity(ColumnSchema("item"), metadata)).max_id
      5
    """
    fields = column.properties.get(PROPERTY)
    if fields is None:
        return _assumed(column)
    metadata = PopularityMetadata.from_dict(fields, column.name)
    highest = _domain_max(column)
    if highest is not None and metadata.max_id > highest:
        raise SchemaError(
            f"Column {column.name!r}: expected max_id to be at most the domain's maximum "
            f"{highest}, since models size the embedding table by it. "
            f"Received: max_id {metadata.max_id}. Fit the workflow that wrote the schema again."
        )
    return metadata


def with_popularity(column: "ColumnSchema", metadata: PopularityMetadata) -> "ColumnSchema":
    """Returns a copy of the column schema that carries the metadata.

    Examples:
      >>> from merlin.schema import ColumnSchema
      >>> column = with_popularity(
      ...     ColumnSchema("item"), PopularityMetadata(3, 5, False, "counted")
      ... )
      >>> column.properties["popularity"]["max_id"]
      5
    """
    return column.with_properties({PROPERTY: metadata.to_dict()})


def reserved_ids(column: "ColumnSchema") -> int:
    """Returns how many ids, from 0 on, the encoder reserves for padding, null and unknown keys.

    The number is 0 if the column was not encoded: it has no property `num_buckets`.

    Raises:
      SchemaError: the number of buckets is not a whole number.

    Examples:
      >>> from merlin.schema import ColumnSchema
      >>> reserved_ids(ColumnSchema("item", properties={"num_buckets": 2}))
      4
    """
    if "num_buckets" not in column.properties:
        return 0
    buckets = column.properties["num_buckets"]
    return FIRST_OOV_ID + (1 if buckets is None else _whole(column, "num_buckets", buckets) or 1)


def _assumed(column: "ColumnSchema") -> PopularityMetadata:
    """Returns metadata that assume frequency order, for a column that Categorify encoded.

    Raises:
      SchemaError: the column has none of Categorify's properties, which state the range of the ids.
    """
    highest = _domain_max(column)
    if highest is None or not {"cat_path", "num_buckets"} <= set(column.properties):
        raise SchemaError(
            f"Column {column.name!r}: expected the property {PROPERTY!r}, or Categorify's own "
            f"properties. Received: {sorted(column.properties)}. Encode with FrequencyCategorify, "
            "add FrequencyOrder to the workflow, or build the sampler with min_id and max_id (and "
            "ItemFeatures with its domain)."
        )
    try:
        domain = IdDomain(reserved_ids(column), highest)
    except PopSamplerError as error:
        raise SchemaError(f"Column {column.name!r}: {error}") from error
    warnings.warn(
        f"Column {column.name!r} has Categorify's properties but no proof that its ids are sorted "
        f"by frequency: ids {domain.min_id} to {domain.max_id} are assumed to be. To have the "
        "order checked, encode with FrequencyCategorify, or add FrequencyOrder to the workflow.",
        stacklevel=caller_level(),
    )
    return PopularityMetadata(domain.min_id, domain.max_id, True, "assumed")


def _is_item_id(column: "ColumnSchema") -> bool:
    """Tests for the tag ITEM_ID, or the pair ITEM and ID into which Merlin may split it."""
    tags = {getattr(tag, "value", tag) for tag in column.tags}  # strings, as in schema files
    return "item_id" in tags or {"item", "id"} <= tags


def _one_joint_vocabulary(columns: List["ColumnSchema"]) -> bool:
    """Tests whether the name of the vocabulary consists of the names of exactly these columns.

    Aggregates of one column share its properties as well, but the name of their vocabulary is that
    of the column alone.
    """
    popularities = [column.properties.get(PROPERTY) for column in columns]
    names = {_vocabulary(column) for column in columns}
    if len(names) > 1 or any(popularity != popularities[0] for popularity in popularities):
        return False
    remainder = names.pop()
    for name in sorted((column.name for column in columns), key=len, reverse=True):
        if name not in remainder:
            return False
        remainder = remainder.replace(name, "", 1)
    return True


def _domain_max(column: "ColumnSchema") -> Optional[int]:
    """Returns the largest id for which models size their tables; None if it is not stated."""
    highest = _domain(column).get("max")
    return None if highest is None else _whole(column, "the domain's maximum", highest)


def _vocabulary(column: "ColumnSchema") -> str:
    """Returns the name of the vocabulary that encodes the column, or ""."""
    name = _domain(column).get("name")
    return name if isinstance(name, str) else ""


def _domain(column: "ColumnSchema") -> Mapping[str, Any]:
    domain = column.properties.get("domain")
    if domain is None:
        return {}
    if not isinstance(domain, Mapping):
        raise SchemaError(
            f"Column {column.name!r}: expected the property 'domain' to be a dict. "
            f"Received: {truncate_repr(domain)}. Fit the workflow that wrote the schema again."
        )
    return domain


def _whole(column: "ColumnSchema", name: str, value: Any) -> int:
    try:
        return whole_number(name, value, 0, "Fit the workflow that wrote the schema again.")
    except PopSamplerError as error:
        raise SchemaError(f"Column {column.name!r}: {error}") from error
