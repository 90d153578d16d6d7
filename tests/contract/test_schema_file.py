"""Compares schema files read as plain data with Merlin's own reader."""

import numpy as np
import pytest
from google.protobuf import text_format
from google.protobuf.struct_pb2 import Struct
from merlin.schema import ColumnSchema, Schema, Tags
from merlin.schema.io.tensorflow_metadata import TensorflowMetadata
from tensorflow_metadata.proto.v0 import schema_pb2

from merlin_popsampler import SchemaError, read_popularity
from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.schema import column_popularity, find_item_column, with_popularity
from merlin_popsampler.contract.schema_file import find_schema, read_schema_file

METADATA = PopularityMetadata.from_counts(np.array([9, 4, 4, 1]), 3, "counted", 3)
ITEM = ColumnSchema(
    "item",
    [Tags.ITEM_ID, Tags.CATEGORICAL, "my own"],
    {
        "domain": {"min": 0, "max": 6, "name": "item"},
        "num_buckets": None,
        "cat_path": "å/b.parquet",
        "value_count": {"min": 2, "max": 5},
        "nested": {"list": [1, "two", None, {"three": [True]}]},
    },
    dtype=np.int32,
)
SCHEMA = Schema(
    [
        ColumnSchema("price", [], {"domain": {"min": -0.5, "max": 2.5}}, dtype=np.float32),
        with_popularity(ITEM, METADATA),
        ColumnSchema("negative", [Tags.USER], {"domain": {"min": -7, "max": -1}}, dtype=np.int64),
        ColumnSchema("no domain", [Tags.ID], {}, dtype=np.int64),
        ColumnSchema("word", ["item_id"], {}, dtype="string"),
    ]
)
WRITERS = {"json": TensorflowMetadata.to_json, "pbtxt": TensorflowMetadata.to_proto_text}
READERS = {"json": TensorflowMetadata.from_json, "pbtxt": TensorflowMetadata.from_proto_text}
NOT_PROPERTIES = {"_dims", "is_list", "is_ragged", "dtype_item_size", "value_count"}
"""Properties that Merlin derives from a column's shape and dtype."""


@pytest.fixture(params=list(WRITERS))
def file(request, tmp_path):
    path = tmp_path / f"schema.{request.param}"
    path.write_text(WRITERS[request.param](TensorflowMetadata.from_merlin_schema(SCHEMA)), "utf-8")
    return path


def test_names_tags_and_properties_are_those_that_merlin_reads(file):
    found = read_schema_file(str(file))
    merlins = READERS[file.suffix[1:]](file.read_text("utf-8")).to_merlin_schema()
    assert found.column_names == merlins.column_names
    for name in found:
        expected = merlins[name]
        words = {getattr(tag, "value", tag) for tag in expected.tags}
        assert {*found[name].tags, "categorical"} == {*words, "categorical"}
        properties = {
            key: value for key, value in found[name].properties.items() if key not in NOT_PROPERTIES
        }
        assert properties == {
            key: value for key, value in expected.properties.items() if key not in NOT_PROPERTIES
        }


def test_the_contract_reads_both_alike(file):
    found = read_schema_file(str(file))
    assert column_popularity(find_item_column(found, "item")) == METADATA
    assert read_popularity(SCHEMA, "item") == METADATA
    with pytest.raises(SchemaError, match=r"\['item', 'word'\]"):
        find_item_column(found)


def test_properties_that_protobuf_spells_out_are_read_alike(tmp_path):
    """Protobuf prints the properties as text instead of bytes if it knows their type."""
    binary = TensorflowMetadata.from_merlin_schema(SCHEMA).to_proto_text()
    spelled = text_format.MessageToString(text_format.Parse(binary, schema_pb2.Schema()))
    assert Struct.DESCRIPTOR.full_name in spelled
    for name, text in (("a", binary), ("b", spelled)):
        (tmp_path / f"{name}.pbtxt").write_text(text, "utf-8")
    assert "type_url" in binary or "[type.googleapis.com" in binary
    found = read_schema_file(str(tmp_path / "b.pbtxt"))
    assert found == read_schema_file(str(tmp_path / "a.pbtxt"))
    assert column_popularity(found["item"]) == METADATA


def test_a_data_set_is_found_by_its_folder(tmp_path):
    """Searches in Merlin's order: `.merlin/schema.json`, then `schema.pbtxt`."""
    both = TensorflowMetadata.from_merlin_schema(SCHEMA)
    (tmp_path / "schema.pbtxt").write_text(both.to_proto_text(), "utf-8")
    for source in (tmp_path, str(tmp_path), f"{tmp_path}/", tmp_path / "schema.pbtxt"):
        assert read_popularity(source, "item") == METADATA
    newer = PopularityMetadata.from_counts(np.array([7, 1]), 3, "counted", 3)
    (tmp_path / ".merlin").mkdir()
    (tmp_path / ".merlin" / "schema.json").write_text(
        TensorflowMetadata.from_merlin_schema(Schema([with_popularity(ITEM, newer)])).to_json()
    )
    assert read_popularity(tmp_path) == newer


def test_a_damaged_file_is_not_passed_over(tmp_path):
    """The older file in the same folder may be of another fit."""
    text = TensorflowMetadata.from_merlin_schema(SCHEMA).to_proto_text()
    (tmp_path / "schema.pbtxt").write_text(text, "utf-8")
    (tmp_path / ".merlin").mkdir()
    (tmp_path / ".merlin" / "schema.json").write_text("{")
    with pytest.raises(SchemaError, match=r"schema\.json"):
        read_popularity(tmp_path, "item")


@pytest.mark.parametrize("name", ["", "gone", "workflow.pkl"])
def test_a_path_without_a_schema_is_refused(tmp_path, name):
    (tmp_path / "workflow.pkl").write_bytes(b"not to be read")
    with pytest.raises(SchemaError, match="Expected a data set's folder"):
        find_schema(tmp_path / name)


def test_a_file_system_that_fsspec_does_not_know_is_refused():
    pytest.importorskip("fsspec")
    with pytest.raises(SchemaError, match="URL of a schema that fsspec can open.*nowhere://train"):
        read_popularity("nowhere://train")


def test_a_remote_data_set_is_read_by_fsspec(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    text = TensorflowMetadata.from_merlin_schema(SCHEMA).to_proto_text()
    memory = fsspec.filesystem("memory")
    memory.pipe("/train/schema.pbtxt", text.encode("utf-8"))
    try:
        assert read_popularity("memory://train", "item") == METADATA
        with pytest.raises(SchemaError, match="memory://other"):
            read_popularity("memory://other")
    finally:
        memory.rm("/train", recursive=True)


@pytest.mark.parametrize("name", ["schema.pbtxt", "schema.json"])
@pytest.mark.parametrize(
    "text", ["feature {{{", "", "{}", '{"feature": [7]}', '{"feature": [{}]}', "å"]
)
def test_files_that_are_not_a_schema_are_refused(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    if (name, text) == ("schema.pbtxt", ""):
        text = "feature"  # an empty message is valid protobuf; invalid ones are below
        (tmp_path / name).write_text(text)
    with pytest.raises(SchemaError, match="Expected a Merlin schema"):
        read_schema_file(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "text", "field"),
    [
        ("schema.pbtxt", "", "feature"),
        ("schema.json", "{}", "feature"),
        ("schema.json", '{"feature": [{}]}', "name"),
    ],
)
def test_a_field_that_is_missing_is_named(tmp_path, name, text, field):
    (tmp_path / name).write_text(text)
    with pytest.raises(SchemaError, match=f"Received: no field '{field}'. Pass a schema"):
        read_schema_file(str(tmp_path / name))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SchemaError, match="Expected a Merlin schema"):
        read_schema_file(str(tmp_path / "schema.json"))
