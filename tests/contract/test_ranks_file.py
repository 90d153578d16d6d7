"""Tests version 3 of the contract: stable ids, and the file of their ranks."""

from dataclasses import replace

import numpy as np
import pytest
from merlin.schema import ColumnSchema, Schema, Tags
from merlin.schema.io.tensorflow_metadata import TensorflowMetadata

from merlin_popsampler import PopularityMetadata, SchemaError, read_popularity
from merlin_popsampler.contract.ranks_file import read_ids_by_rank
from merlin_popsampler.contract.sampler_settings import sampler_kwargs_from_schema
from merlin_popsampler.contract.schema import with_popularity
from merlin_popsampler.core.digests import digest_of
from merlin_popsampler.distributions import LogUniform
from tests.support.stable_ids import BY_RANK, COUNTS, MIN_ID, data_set, metadata


@pytest.fixture
def made(tmp_path):
    return metadata(tmp_path / "ranks.int32")


def test_steps_count_ranks_and_the_range_is_of_ids(made):
    fields = made.to_dict()
    assert (fields["version"], fields["frequency_ordered"]) == (3, False)
    assert (fields["min_id"], fields["max_id"]) == (3, 15)
    assert fields["steps"] == "0:300,1:90,2:82,4:7,5:15,8:1,9"
    assert fields["total"] == sum(COUNTS) == 495
    probs = np.array([COUNTS[found - MIN_ID] for found in BY_RANK]) / 495
    assert made.distribution().prob(np.arange(9)) == pytest.approx(probs)


def test_survives_json_and_pbtxt(made, tmp_path):
    schema = Schema([with_popularity(ColumnSchema("i", [Tags.ITEM_ID], dtype="int64"), made)])
    as_json = TensorflowMetadata.from_json(TensorflowMetadata.from_merlin_schema(schema).to_json())
    TensorflowMetadata.from_merlin_schema(schema).to_proto_text_file(str(tmp_path), "s.pbtxt")
    as_text = TensorflowMetadata.from_proto_text_file(str(tmp_path), "s.pbtxt")
    for read in (as_json, as_text):
        assert read_popularity(read.to_merlin_schema()) == made
    assert read_popularity(str(tmp_path / "s.pbtxt")) == made


def test_the_file_gives_the_id_of_each_rank(made):
    assert read_ids_by_rank(made, "item_id").tolist() == BY_RANK
    ordered = PopularityMetadata.from_counts(np.array([9, 5]), 3, "counted", 256)
    assert read_ids_by_rank(ordered, "item_id").tolist() == [3, 4]


def test_a_remote_file_is_read_by_fsspec(made):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    with open(made.ranks_path, "rb") as file:
        memory.pipe("/fit/ranks.int32", file.read())
    try:
        there = replace(made, ranks_path="memory://fit/ranks.int32")
        assert read_ids_by_rank(there, "item_id").tolist() == BY_RANK
        with pytest.raises(SchemaError, match="'item_id'.*memory://gone.*FileNotFoundError"):
            read_ids_by_rank(replace(made, ranks_path="memory://gone"), "item_id")
    finally:
        memory.rm("/fit", recursive=True)


@pytest.mark.parametrize("distribution", ["auto", "empirical", "log_uniform", "uniform"])
def test_a_sampler_gets_the_ids_by_rank(distribution, tmp_path):
    found = sampler_kwargs_from_schema(
        data_set(tmp_path), None, 1.0, {"distribution": distribution}
    )
    assert found["item_ids"].tolist() == BY_RANK
    assert (found["min_id"], found["max_id"]) == (min(BY_RANK), max(BY_RANK)) == (3, 14)
    if distribution == "log_uniform":
        assert LogUniform(9) != found["distribution"] == "log_uniform"


def changed(path):
    """Reorders the ids, which only the digest detects."""
    content = path.read_bytes()
    path.write_bytes(content[4:] + content[:4])


def cut(path):
    path.write_bytes(path.read_bytes()[:-4])


def removed(path):
    path.unlink()


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [changed, cut, removed, a_folder])
def test_a_file_that_is_absent_or_changed_is_refused(damage, tmp_path):
    folder = data_set(tmp_path)
    damage(folder / "ranks.item_id.int32")
    with pytest.raises(SchemaError, match="'item_id'.*file of its ids by rank at .*from_counts"):
        sampler_kwargs_from_schema(folder, None, 1.0, {})


@pytest.mark.parametrize(
    "ids", [BY_RANK[:-1], [*BY_RANK, 4], [2, *BY_RANK[1:]], [*BY_RANK[1:], 16]]
)
def test_a_file_of_other_ids_is_refused_though_its_digest_is_right(ids, made):
    content = np.array(ids, "<i4").tobytes()
    with open(made.ranks_path, "wb") as file:
        file.write(content)
    with pytest.raises(SchemaError, match="which are not these ids"):
        read_ids_by_rank(replace(made, ranks_digest=digest_of(content)), "item_id")


def test_a_schema_without_a_place_is_refused(made):
    with pytest.raises(SchemaError, match="does not name its path"):
        read_ids_by_rank(replace(made, ranks_path=None), "item_id")


@pytest.mark.parametrize("distribution", ["auto", "uniform"])
def test_a_catalog_of_which_nothing_is_left_is_refused(distribution, made):
    nothing = replace(made, steps="", fit=None)
    column = with_popularity(ColumnSchema("item_id", [Tags.ITEM_ID]), nothing)
    with pytest.raises(SchemaError, match="at least one item"):
        sampler_kwargs_from_schema(Schema([column]), None, 1.0, {"distribution": distribution})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"version": 2}, "version .* to be 3, with ranks_digest. Received: 2"),
        ({"ranks_digest": None}, "version .* to be 2, without ranks_digest. Received: 3"),
        ({"ranks_digest": 7}, "ranks_digest"),
        ({"frequency_ordered": True}, "ranks_digest .* where ids are not in frequency order"),
        ({"ranks_path": 7}, "ranks_path"),
        ({"ranks_path": ["a"]}, "ranks_path"),
        ({"version": 2, "ranks_digest": None}, "ranks_path .* next to ranks_digest"),
        ({"steps": None}, "steps"),
        ({"steps": "3:300,4:90,5:82,7:7,8:15,11:1,12"}, "steps"),
        ({"steps": "0:300,1:90,2:82,4:7,5:15,8:8,16"}, "an end at '16' instead of 13"),
        ({"steps": "0:300,1:90,2:82,4:7,5:15,8:1," + "9" * 40}, "steps"),
        ({"max_id": 9}, "steps"),
        ({"total": 496}, "total"),
    ],
)
def test_what_contradicts_itself_is_refused(made, change, message):
    with pytest.raises(SchemaError, match=f"(?s)'item_id'.*{message}"):
        PopularityMetadata.from_dict({**made.to_dict(), **change}, "item_id")


def test_steps_that_were_cut_are_refused_wherever(made):
    """If a cut text ends in a possible number of ranks, the sum of the counts detects it."""
    fields = made.to_dict()
    for end in range(len(fields["steps"])):
        with pytest.raises(SchemaError, match="'item_id'"):
            PopularityMetadata.from_dict({**fields, "steps": fields["steps"][:end]}, "item_id")
