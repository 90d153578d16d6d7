"""Tests which contracts are accepted, which are refused, and which survive Merlin's files."""

from dataclasses import replace

import numpy as np
import pytest
from merlin.schema import ColumnSchema, Schema
from merlin.schema.io.tensorflow_metadata import TensorflowMetadata

from merlin_popsampler import PopSamplerError, PopularityMetadata, SchemaError
from merlin_popsampler.core.distributions import Empirical, LogUniform
from merlin_popsampler.core.popularity_curve import PopularityCurve


@pytest.fixture
def metadata():
    return PopularityMetadata.from_counts(np.array([9, 5, 5, 1]), 3, "counted", max_steps=256)


def test_of_counts(metadata):
    assert (metadata.min_id, metadata.max_id, metadata.frequency_ordered) == (3, 6, True)
    assert metadata.steps == "3:9,4:10,6:1,7"
    probs = np.array([9, 5, 5, 1]) / 20
    zipf = np.log1p(1 / np.arange(1, 5)) / np.log(5)
    tv, kl = np.abs(probs - zipf).sum() / 2, np.sum(probs * np.log(probs / zipf))
    assert metadata.fit["log_uniform"] == pytest.approx({"tv": tv, "kl": kl}, abs=1e-6)
    assert metadata.fit["steps"] == {"tv": 0.0, "kl": 0.0}


def test_the_number_of_steps_is_a_limit():
    metadata = PopularityMetadata.from_counts(np.array([9, 8, 2, 1]), 3, "counted", max_steps=2)
    assert metadata.steps == "3:17,5:3,7"


def test_of_counts_out_of_order():
    metadata = PopularityMetadata.from_counts(np.array([1, 2]), 0, "counted", max_steps=256)
    assert not metadata.frequency_ordered and metadata.steps is None and metadata.fit is None
    with pytest.raises(SchemaError, match="remap"):
        metadata.distribution()


def test_unseen_ids_count_as_seen_once():
    metadata = PopularityMetadata.from_counts(np.array([3, 0, 1]), 0, "counted", max_steps=256)
    assert metadata.frequency_ordered and metadata.steps == "0:3,1:2,3"


def test_distribution(metadata):
    distribution = metadata.distribution()
    assert isinstance(distribution, Empirical)
    assert distribution.prob(np.arange(4)) == pytest.approx(np.array([9, 5, 5, 1]) / 20)
    assumed = PopularityMetadata(3, 6, True, "assumed")
    assert isinstance(assumed.distribution(), LogUniform) and assumed.distribution().size == 4
    with pytest.raises(SchemaError, match="at least one item"):
        PopularityMetadata.from_counts(np.array([], int), 3, "counted", 256).distribution()


@pytest.mark.parametrize("counts", [[9, 5, 5, 1], [1, 2], []])
def test_survives_json_and_pbtxt(counts, tmp_path):
    metadata = PopularityMetadata.from_counts(np.array(counts, int), 3, "counted", 256)
    metadata = replace(metadata, digest="04cb1f")
    schema = Schema(
        [ColumnSchema("i", dtype="int64", properties={"popularity": metadata.to_dict()})]
    )
    as_json = TensorflowMetadata.from_json(TensorflowMetadata.from_merlin_schema(schema).to_json())
    TensorflowMetadata.from_merlin_schema(schema).to_proto_text_file(str(tmp_path), "s.pbtxt")
    as_text = TensorflowMetadata.from_proto_text_file(str(tmp_path), "s.pbtxt")
    for read in (as_json, as_text):
        fields = read.to_merlin_schema()["i"].properties["popularity"]
        assert PopularityMetadata.from_dict(fields, "i") == metadata


def test_the_curve_is_read_once(metadata, monkeypatch):
    fields, read = metadata.to_dict(), []
    parse = PopularityCurve.parse

    def counted(*arguments):
        read.append(arguments)
        return parse(*arguments)

    monkeypatch.setattr(PopularityCurve, "parse", counted)
    again = PopularityMetadata.from_dict(fields, "item_id")
    assert again.distribution() == metadata.distribution()
    assert again.distribution().steps is again.curve
    assert len(read) == 1  # the other field, when the value was constructed


def test_assumptions_are_never_written():
    with pytest.raises(PopSamplerError, match="measured"):
        PopularityMetadata(3, 6, True, "assumed").to_dict()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"version": 1}, "version .* to be 2 or 3. Received: 1. Install the version"),
        ({"version": 4}, "Received: 4. Install the version .* or write the data set anew"),
        ({"version": None}, "version"),
        (
            {"version": 3},
            "version .* to be 2, without ranks_digest. Received: 3. Write the data set again",
        ),
        ({"version": True}, "version"),
        ({"min_id": "3"}, "min_id"),
        ({"min_id": 3.5}, "whole number"),
        ({"max_id": True}, "max_id"),
        ({"min_id": -1}, "min_id to be a whole number >= 0"),
        ({"max_id": 1}, "min_id <= max_id"),
        ({"max_id": 5}, "end at '7' instead of 6"),
        ({"max_id": 7}, "end at '7' instead of 8"),
        ({"max_id": 2**60}, "max_id .* <= 9007199254740991"),
        ({"frequency_ordered": 1}, "frequency_ordered"),
        ({"frequency_ordered": False}, "steps .* absent where there is no measured order"),
        ({"steps": None}, "steps .* a string. Received: None. Write the data set again"),
        ({"steps": "3:9,4:10,6:1,"}, "steps"),
        ({"steps": "3:1,4:10,6:1,7"}, "fall"),
        ({"steps": "4:10,6:1,7"}, "fall"),
        ({"steps": "3:9,4:10,6:1,7:1,8"}, "fall"),
        ({"evidence": "assumed"}, "evidence"),
        ({"digest": 5}, "digest"),
        ({"fit": "good"}, "fit"),
        ({"fit": {"steps": 0.1}}, "fit"),
        ({"fit": {"steps": {"tv": "0.1", "kl": 0.1}}}, "fit"),
        ({"fit": {"steps": {"tv": 0.1}}}, "fit"),  # a report prints both
        ({"total": None}, "total .* 20, the sum of the steps .*. Received: None"),
        ({"total": 19}, "total .* 20, the sum"),
        ({"total": "20"}, "total"),
        ({"total": True}, "total"),
        ({"frequency_ordered": False, "steps": None, "fit": None}, "total .* absent"),
        ({"evidence": ["counted"]}, "evidence"),
    ],
)
def test_what_contradicts_itself_is_refused(metadata, change, message):
    with pytest.raises(SchemaError, match=f"(?s)'item_id'.*{message}"):
        PopularityMetadata.from_dict({**metadata.to_dict(), **change}, "item_id")


def test_the_total_is_the_sum_of_the_steps(metadata):
    assert metadata.to_dict()["version"] == 2
    assert metadata.to_dict()["total"] == 20
    assert (
        "total" not in PopularityMetadata.from_counts(np.array([1, 2]), 3, "counted", 9).to_dict()
    )
    assert PopularityMetadata.from_counts(np.zeros(0, int), 3, "counted", 9).to_dict()["total"] == 0


def test_steps_that_were_cut_are_refused_wherever():
    """The id after the last step comes last in the text, so no prefix is a valid curve."""
    counts = (10**6 / np.arange(1, 3000) ** 1.1).astype(np.int64)
    metadata = PopularityMetadata.from_counts(counts, 3, "counted", max_steps=256)
    fields = metadata.to_dict()
    text = fields["steps"]
    for end in range(len(text)):
        with pytest.raises(SchemaError, match="'item_id'.* falling steps from id 3 to id 3001"):
            PopularityMetadata.from_dict({**fields, "steps": text[:end]}, "item_id")


def test_counts_that_schema_files_would_round_are_refused():
    largest = PopularityMetadata.from_counts(np.array([2**53 - 1, 1]), 3, "counted", 256)
    assert PopularityMetadata.from_dict({**largest.to_dict(), "total": 2.0**53}, "i") == largest
    with pytest.raises(SchemaError, match="sum to 9007199254740992 .*Received: 9007199254740993"):
        PopularityMetadata.from_counts(np.array([2**53 - 1, 2]), 3, "counted", 256)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((5, 3, True, "counted", ""), "min_id <= max_id"),
        (("3", 6, True, "assumed"), "min_id"),
        ((3, 6.5, True, "assumed"), "max_id"),
        ((3, 6, "yes", "assumed"), "frequency_ordered"),
        ((3, 6, True, "guessed"), "evidence"),
        ((3, 6, True, None), "evidence"),
        ((3, 6, True, "counted"), "steps .* a string. Received: None"),
        ((3, 6, True, "assumed", "3:4"), "steps .* absent"),
        ((3, 6, False, "counted", "3:4"), "steps .* absent"),
        ((3, 6, True, "counted", "3:9,4:2,7"), "less than one"),
        ((3, 6, True, "counted", 9), "steps"),
        ((3, 6, True, "counted", "3:4", 7), "digest"),
        ((3, 6, False, "counted", None, None, {"steps": {"tv": 0.0}}), "fit .* where an order"),
    ],
)
def test_values_made_by_hand_do_not_contradict_themselves(fields, message):
    with pytest.raises(SchemaError, match=message):
        PopularityMetadata(*fields)


def test_numbers_of_a_schema_file_become_integers():
    assert PopularityMetadata(3.0, np.int64(6), True, "assumed") == PopularityMetadata(
        3, 6, True, "assumed"
    )
    assert type(PopularityMetadata(3.0, 6.0, True, "assumed").min_id) is int


def test_another_kind_of_property_is_refused():
    with pytest.raises(SchemaError, match="dict"):
        PopularityMetadata.from_dict("popular", "item_id")


@pytest.mark.parametrize("counts", [[5, -1], [5.5, 1.0], [[5, 1]], [True, True], ["5"]])
def test_other_than_counts_are_refused(counts):
    with pytest.raises(PopSamplerError, match="Expected counts of ids"):
        PopularityMetadata.from_counts(np.array(counts), 3, "counted", 256)
