"""A schema's file as plain data against Merlin's own reading of it."""

import numpy as np
import pytest
from merlin.schema import ColumnSchema, Schema, Tags
from merlin.schema.io.tensorflow_metadata import TensorflowMetadata

from merlin_popsampler import SchemaError, read_popularity
from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.contract.schema import column_popularity, find_item_column, with_popularity
from merlin_popsampler.ops.schema_file import read_schema_file

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
"""What Merlin keeps in a column's shape and dtype, or puts together from these."""


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


@pytest.mark.parametrize("name", ["schema.pbtxt", "schema.json"])
@pytest.mark.parametrize(
    "text", ["feature {{{", "", "{}", '{"feature": [7]}', '{"feature": [{}]}', "å"]
)
def test_what_is_no_schema_is_refused(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    if (name, text) == ("schema.pbtxt", ""):
        text = "feature"  # an empty message is right as protobuf; what is not one is below
        (tmp_path / name).write_text(text)
    with pytest.raises(SchemaError, match="Expected a Merlin schema"):
        read_schema_file(str(tmp_path / name))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SchemaError, match="Expected a Merlin schema"):
        read_schema_file(str(tmp_path / "schema.json"))
