"""Tests how the item-id column is found, and what its properties prove."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from merlin.io import Dataset
from merlin.schema import ColumnSchema, Schema, Tags
from nvtabular import ops

from merlin_popsampler import (
    FrequencyCategorify,
    PopularityMetadata,
    SchemaError,
    read_popularity,
)
from merlin_popsampler.contract.schema import (
    column_popularity,
    find_item_column,
    reserved_ids,
    schema_of,
)
from tests.support.workflow_helpers import dataset, fitted

METADATA = PopularityMetadata.from_counts(np.array([9, 5, 5, 1]), 3, "counted", max_steps=256)


def column(name="item_id", tags=(Tags.ITEM_ID,), popularity=METADATA, **properties):
    if popularity is not None:
        properties["popularity"] = popularity.to_dict()
    return ColumnSchema(name, dtype="int64", tags=list(tags), properties=properties)


CATEGORIFY = {
    "cat_path": "x/unique.item_id.parquet",
    "num_buckets": None,
    "domain": {"min": 0, "max": 6, "name": "item_id"},
}


@pytest.mark.parametrize(
    "tags", [[Tags.ITEM_ID], [Tags.ITEM, Tags.ID], ["item_id"], ["item", "id", "categorical"]]
)
def test_both_spellings_of_the_tag(tags):
    schema = Schema([ColumnSchema("user_id", tags=[Tags.USER_ID]), column("iid", tags)])
    assert find_item_column(schema).name == "iid"
    assert read_popularity(schema) == METADATA


def test_no_item_id():
    schema = Schema([ColumnSchema("user_id", tags=[Tags.USER_ID]), ColumnSchema("item")])
    with pytest.raises(SchemaError, match=r"none among \['user_id', 'item'\].*TagAsItemID"):
        read_popularity(schema)


def test_several_item_ids_are_listed():
    schema = Schema([column("a"), column("b")])
    with pytest.raises(SchemaError, match=r"\['a', 'b'\].*column='a'"):
        read_popularity(schema)
    assert read_popularity(schema, "b") == METADATA
    with pytest.raises(SchemaError, match=r"'c'.*\['a', 'b'\]"):
        read_popularity(schema, "c")


def test_a_count_next_to_its_list_is_not_a_second_candidate(tmp_path):
    frame = pd.DataFrame({"item_id": [5, 6, 6, 5, 6], "session": [1, 1, 2, 2, 2]})
    ids = ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path)) >> ops.TagAsItemID()
    sessions = (ids + ["session"]) >> ops.Groupby(
        groupby_cols=["session"], aggs={"item_id": ["list", "count"]}, name_sep="-"
    )
    workflow = fitted(sessions, dataset(frame, 1))
    with pytest.raises(SchemaError, match=r"'item_id-list', 'item_id-count'.*column="):
        read_popularity(workflow)
    assert read_popularity(workflow, "item_id-list").max_id == 4


@pytest.mark.parametrize("name_sep", ["_", "-"])
def test_a_joint_vocabulary_is_one_choice(tmp_path, name_sep):
    frame = pd.DataFrame({"item_id": [5, 6, 6, 7], "last_item": [6, 6, 8, 5]})
    node = [["item_id", "last_item"]] >> FrequencyCategorify(
        out_path=str(tmp_path), name_sep=name_sep
    )
    workflow = fitted(node >> ops.TagAsItemID(), dataset(frame, 2))
    assert find_item_column(workflow.output_schema).name == "item_id"
    assert read_popularity(workflow).max_id == 6


def test_two_vocabularies_of_equal_counts_are_two_choices():
    schema = Schema(
        [column("a", domain={"min": 0, "max": 6, "name": "a"})]
        + [column("b", domain={"min": 0, "max": 6, "name": "b"})]
    )
    with pytest.raises(SchemaError, match="column='a'"):
        read_popularity(schema)


@pytest.mark.parametrize("with_loader", [False, True])
def test_sources(tmp_path, with_loader):
    frame = pd.DataFrame({"item_id": [5, 6, 6, 7] * 4, "y": 1.0})
    ids = ["item_id"] >> FrequencyCategorify(out_path=str(tmp_path)) >> ops.TagAsItemID()
    workflow = fitted(ids + ["y"], dataset(frame, 2))
    workflow.transform(dataset(frame, 2)).to_parquet(str(tmp_path / "data"))
    written = Dataset(str(tmp_path / "data" / "*.parquet"), engine="parquet")
    sources = [workflow, workflow.output_schema, written]
    if with_loader:
        pytest.importorskip("tensorflow")
        from merlin.dataloader.tensorflow import Loader

        sources.append(Loader(written, batch_size=4))
    found = [read_popularity(source) for source in sources]
    assert found[0].steps == "3:8,4:8,6"
    assert all(metadata == found[0] for metadata in found)


def test_a_loader_knows_the_id_that_its_transform_made_a_target_of():
    """Uses a stand-in, since Merlin's own loader needs a framework."""
    whole, rest = Schema([column()]), Schema([ColumnSchema("user_id")])
    loader = SimpleNamespace(input_schema=whole, output_schema=rest, dataset=None)
    assert schema_of(loader) is whole
    workflow = SimpleNamespace(input_schema=rest, output_schema=whole)
    assert schema_of(workflow) is whole
    assert schema_of(SimpleNamespace(schema=whole, dataset=None)) is whole


@pytest.mark.parametrize(
    ("names", "joint"), [(["a", "b"], "a_b"), (["ab", "a"], "ab_a"), (["a", "ba"], "a_ba")]
)
def test_columns_of_one_joint_vocabulary_are_one_choice(names, joint):
    domain = {"min": 0, "max": 6, "name": joint}
    schema = Schema([column(name, domain=domain) for name in names])
    assert find_item_column(schema).name == names[0]
    # Aggregates of one column bear that column's name.
    apart = Schema([column(name, domain={**domain, "name": names[0]}) for name in names])
    with pytest.raises(SchemaError, match="one column tagged"):
        find_item_column(apart)


def test_columns_of_different_popularity_do_not_share_a_vocabulary():
    domain = {"min": 0, "max": 6, "name": "a_b"}
    other = PopularityMetadata.from_counts(np.array([7, 5, 5, 1]), 3, "counted", max_steps=256)
    schema = Schema([column("a", domain=domain), column("b", popularity=other, domain=domain)])
    with pytest.raises(SchemaError, match="one column tagged"):
        find_item_column(schema)


def test_a_broken_property_names_its_column():
    broken = ColumnSchema("item", properties={"popularity": {"version": 99}})
    with pytest.raises(SchemaError, match="'item'.*version"):
        column_popularity(broken)


@pytest.mark.parametrize("source", [None, {}, 7])
def test_no_source(source):
    with pytest.raises(SchemaError, match="Merlin Schema"):
        schema_of(source)


def test_a_workflow_before_its_fit(tmp_path):
    import nvtabular as nvt

    with pytest.raises(SchemaError, match="Fit the workflow"):
        schema_of(nvt.Workflow(["item_id"] >> FrequencyCategorify(out_path=str(tmp_path))))


def test_categorify_alone_is_assumed_with_a_warning():
    with pytest.warns(UserWarning, match="'item_id'.*3 to 6 are assumed"):
        found = column_popularity(column(popularity=None, **CATEGORIFY))
    assert found == PopularityMetadata(3, 6, True, "assumed")
    with pytest.warns(UserWarning, match="assumed"):
        found = column_popularity(column(popularity=None, **{**CATEGORIFY, "num_buckets": 2.0}))
    assert (found.min_id, found.max_id) == (4, 6)


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"domain": {"min": 0, "max": 20}},  # HashBucket
        {key: CATEGORIFY[key] for key in ("cat_path", "num_buckets")},
        {key: CATEGORIFY[key] for key in ("cat_path", "domain")},
    ],
)
def test_nothing_else_is_assumed(properties):
    with pytest.raises(SchemaError, match="'item_id'.*min_id and max_id"):
        column_popularity(column(popularity=None, **properties))


def test_a_domain_below_max_id_is_refused():
    with pytest.raises(SchemaError, match="'item_id'.*maximum 5.*max_id 6"):
        column_popularity(column(domain={"min": 0, "max": 5}))
    assert column_popularity(column(domain={"min": 0, "max": 60})) == METADATA


WRONG_NUMBERS = [float("nan"), float("inf"), "six", "6", True, [6], {}, 5.5, -1, 2.0**54]


@pytest.mark.parametrize("highest", WRONG_NUMBERS, ids=repr)
def test_a_domain_whose_maximum_is_not_a_number_is_refused(highest):
    for popularity in (METADATA, None):
        broken = column(
            popularity=popularity, **{**CATEGORIFY, "domain": {"min": 0, "max": highest}}
        )
        with pytest.raises(SchemaError, match="'item_id'.*domain's maximum.*whole number"):
            column_popularity(broken)


@pytest.mark.parametrize("domain", [7, "0 to 7", [0, 7], True, float("nan")], ids=repr)
def test_a_domain_that_is_not_a_dict_is_refused(domain):
    for popularity in (METADATA, None):
        broken = column(popularity=popularity, **{**CATEGORIFY, "domain": domain})
        with pytest.raises(SchemaError, match="'item_id'.*'domain' to be a dict"):
            column_popularity(broken)


@pytest.mark.parametrize("num_buckets", WRONG_NUMBERS, ids=repr)
def test_a_number_of_buckets_that_is_none_is_refused(num_buckets):
    broken = column(popularity=None, **{**CATEGORIFY, "num_buckets": num_buckets})
    for read in (reserved_ids, column_popularity):
        with pytest.raises(SchemaError, match="'item_id'.*num_buckets.*whole number"):
            read(broken)


@pytest.mark.parametrize("name", [7, None, ["a_b"], {"a": "b"}], ids=repr)
def test_a_vocabulary_s_name_that_is_none_joins_nothing(name):
    schema = Schema([column(tagged, domain={"min": 0, "max": 6, "name": name}) for tagged in "ab"])
    with pytest.raises(SchemaError, match="one column tagged"):
        find_item_column(schema)


@pytest.mark.parametrize("num_buckets, reserved", [(None, 3), (1, 3), (4, 6), (4.0, 6)])
def test_reserved_ids(num_buckets, reserved):
    assert reserved_ids(column(num_buckets=num_buckets)) == reserved


def test_no_encoder_reserves_nothing():
    assert reserved_ids(column()) == 0
