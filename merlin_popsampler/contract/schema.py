"""Finds the item-id column of a Merlin schema, and reads and writes its popularity.

`merlin.schema` is never imported here: it loads dask, and TensorFlow where it is installed. An
object of Merlin's brings its module along, and a path is read without it.
"""

import os
import sys
import warnings
from typing import TYPE_CHECKING, Any, List, Mapping, Optional

from merlin_popsampler.core.checks import shown, whole_number
from merlin_popsampler.core.domain import FIRST_OOV_ID, IdDomain
from merlin_popsampler.errors import PopSamplerError, SchemaError

from .metadata import PROPERTY, PopularityMetadata
from .schema_file import PlainSchema, find_schema

if TYPE_CHECKING:
    from merlin.schema import ColumnSchema, Schema


def read_popularity(source: Any, column: Optional[str] = None) -> PopularityMetadata:
    """What the schema knows of the popularity of an item-id column.

    Args:
      source: a Merlin Schema, Dataset, dataloader, or a fitted Workflow; or the path of a data
        set's folder, of a `schema.json` or of a `schema.pbtxt`, which is read without Merlin.
      column: name of the column; None finds the one that is tagged as item id.

    Returns:
      The column's metadata. Where the schema carries no popularity, but Categorify's own
      properties, the ids' range follows from these and `evidence` is "assumed", with a warning.

    Raises:
      SchemaError: no schema, no such column, no or several item-id columns, a popularity that
        contradicts itself or the column's domain, or nothing to tell the range from.
    """
    return column_popularity(find_item_column(schema_of(source), column))


def schema_of(source: Any) -> "Schema":
    """The Schema of a Schema, Dataset, dataloader, fitted Workflow, or of a path."""
    if isinstance(source, (str, os.PathLike)):
        return find_schema(source)
    if isinstance(source, PlainSchema):
        return source
    # Merlin made the source, or it is not one of these: there is nothing to import.
    Schema = getattr(sys.modules.get("merlin.schema"), "Schema", ())  # noqa: N806 - a class
    if isinstance(source, Schema):
        return source
    # A loader's input schema still has the item id where a transform made a target of it; a
    # workflow's input schema is that of the raw data.
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


def find_item_column(schema: "Schema", column: Optional[str] = None) -> "ColumnSchema":
    """The column of that name, or the one column that is tagged as item id.

    Columns that share one joint vocabulary are one choice: the first of them is returned.
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
            f"{schema.column_names}. Tag it in the workflow (`>> TagAsItemID()`), and pass that or "
            f"the data set that it wrote: a data frame of it has lost the tags.{instead}"
        )
    if len(tagged) > 1 and not _one_joint_vocabulary(tagged):
        raise SchemaError(
            "Expected one column tagged as item id. Received: "
            f"{[tag.name for tag in tagged]}. Say which holds the item ids, for example "
            f"column={tagged[0].name!r} (an aggregate such as a count keeps the tag, and holds "
            "no ids)."
        )
    return tagged[0]


def column_popularity(column: "ColumnSchema") -> PopularityMetadata:
    """The popularity that one column schema carries, or what is safe to assume without it."""
    fields = column.properties.get(PROPERTY)
    if fields is None:
        return _assumed(column)
    metadata = PopularityMetadata.from_dict(fields, column.name)
    highest = _domain_max(column)
    if highest is not None and metadata.max_id > highest:
        raise SchemaError(
            f"Column {column.name!r}: expected max_id to be at most the domain's maximum "
            f"{highest}, since models size the embedding table by it. "
            f"Received: max_id {metadata.max_id}. Fit the workflow anew."
        )
    return metadata


def with_popularity(column: "ColumnSchema", metadata: PopularityMetadata) -> "ColumnSchema":
    """A copy of the column schema that carries the metadata."""
    return column.with_properties({PROPERTY: metadata.to_dict()})


def reserved_ids(column: "ColumnSchema") -> int:
    """How many ids, from 0 on, the column's encoder keeps for padding, null and unknown keys.

    Zero where no encoder left its properties: ids made elsewhere reserve nothing we know of.

    Raises:
      SchemaError: a number of buckets that is none.
    """
    if "num_buckets" not in column.properties:
        return 0
    buckets = column.properties["num_buckets"]
    return FIRST_OOV_ID + (1 if buckets is None else _whole(column, "num_buckets", buckets) or 1)


def _assumed(column: "ColumnSchema") -> PopularityMetadata:
    """Without our property, the range is known only where Categorify made the ids."""
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
        f"by frequency: ids {domain.min_id} to {domain.max_id} are assumed to be. Encode with "
        "FrequencyCategorify, or add FrequencyOrder to the workflow, to have it checked.",
        stacklevel=3,
    )
    return PopularityMetadata(domain.min_id, domain.max_id, True, "assumed")


def _is_item_id(column: "ColumnSchema") -> bool:
    """Merlin splits ITEM_ID into the pair ITEM and ID where it can; both spellings count."""
    tags = {getattr(tag, "value", tag) for tag in column.tags}  # words, as schema files hold them
    return "item_id" in tags or {"item", "id"} <= tags


def _one_joint_vocabulary(columns: List["ColumnSchema"]) -> bool:
    """Whether the columns are exactly those that a joint vocabulary was named after.

    Aggregates of one column share its properties as well, but the vocabulary bears the name of
    the column alone.
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
    """Largest id that models make room for; None where the schema does not say."""
    highest = _domain(column).get("max")
    return None if highest is None else _whole(column, "the domain's maximum", highest)


def _vocabulary(column: "ColumnSchema") -> str:
    """Name of the vocabulary that encodes the column, "" where the schema has none."""
    name = _domain(column).get("name")
    return name if isinstance(name, str) else ""


def _domain(column: "ColumnSchema") -> Mapping[str, Any]:
    domain = column.properties.get("domain")
    if domain is None:
        return {}
    if not isinstance(domain, Mapping):
        raise SchemaError(
            f"Column {column.name!r}: expected the property 'domain' to be a dict. "
            f"Received: {shown(domain)}. Fit the workflow that wrote the schema anew."
        )
    return domain


def _whole(column: "ColumnSchema", name: str, value: Any) -> int:
    try:
        return whole_number(name, value, 0, "Fit the workflow that wrote the schema anew.")
    except PopSamplerError as error:
        raise SchemaError(f"Column {column.name!r}: {error}") from error
