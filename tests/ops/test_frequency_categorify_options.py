"""Tests options and names, which are accepted or refused before data are read."""

import numpy as np
import pandas as pd
import pytest

from merlin_popsampler import FrequencyCategorify, PopSamplerError
from tests.support.workflow_helpers import dataset, encode, fitted, popularity

WRONG = [
    ("num_buckets", -1),
    ("num_buckets", 0),
    ("num_buckets", "3"),
    ("max_size", -1),
    ("max_size", "9"),
    ("freq_threshold", "3"),
    ("freq_threshold", -2),
    ("freq_threshold", 1.5),
    ("split_out", 0),
    ("split_out", True),
    ("split_every", 0),
    ("split_every", [8]),
    ("steps", 0),
]


@pytest.mark.parametrize(("option", "value"), WRONG)
def test_numbers_out_of_range_are_refused_at_construction(option, value):
    with pytest.raises(PopSamplerError, match=f"{option} to be a whole number"):
        FrequencyCategorify(**{option: value})
    if option != "steps":
        with pytest.raises(PopSamplerError, match=f"{option} of 'item_id' to be"):
            FrequencyCategorify(**{option: {"user": None, "item_id": value}})


def test_arguments_by_position_are_read_like_those_by_name():
    with pytest.raises(PopSamplerError, match="freq_threshold"):
        FrequencyCategorify("3")
    assert FrequencyCategorify(3).freq_threshold == 3
    with pytest.raises(TypeError, match="freq_threshold"):
        FrequencyCategorify(3, freq_threshold=3)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("num_buckets", np.int64(3)),
        ("max_size", np.int32(5)),
        ("freq_threshold", np.uint8(2)),
        ("freq_threshold", 2.0),
        ("split_out", np.int64(2)),
        ("split_every", np.int64(2)),
        ("steps", np.int64(64)),
    ],
)
def test_whole_numbers_of_any_library(frame, out_path, option, value):
    plain, expected = encode(frame, ["item_id"], f"{out_path}/plain", **{option: int(value)})
    options = {option: value if option == "steps" else {"item_id": value}}
    for number, given in enumerate([{option: value}, options]):
        workflow, encoded = encode(frame, ["item_id"], f"{out_path}/{number}", **given)
        assert encoded["item_id"].tolist() == expected["item_id"].tolist()
        assert popularity(workflow) == popularity(plain)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"freq_threshold": 2, "max_size": 5}, "ab"),  # 3 reserved ids and two keys
        ({"freq_threshold": 2, "max_size": 9}, "abc"),
        ({"freq_threshold": {"user": 3}, "max_size": {"item_id": 4}}, "a"),
    ],
)
def test_both_limits_apply(out_path, options, expected):
    frame = pd.DataFrame({"item_id": list("aaaabbbccd"), "user": [1, 1, 1, 1, 2, 2, 2, 3, 3, 4]})
    workflow, encoded = encode(frame, ["item_id", "user"], out_path, **options)
    ids = dict(zip(frame["item_id"], encoded["item_id"]))
    assert [key for key in ids if ids[key] > 2] == list(expected)
    assert popularity(workflow)["max_id"] == 2 + len(expected)


def test_nothing_is_the_default(frame, out_path):
    options = ("num_buckets", "max_size", "freq_threshold", "split_out", "split_every")
    _, encoded = encode(frame, ["item_id"], out_path, **dict.fromkeys(options))
    _, plain = encode(frame, ["item_id"], f"{out_path}/plain")
    assert encoded.equals(plain)


@pytest.mark.parametrize("name", ["_popsampler_size", "_popsampler_id", "size", "id", "self", "ü"])
def test_columns_of_any_name(out_path, name):
    frame = pd.DataFrame({name: ["a", "b", "b", None]})
    workflow = fitted([name] >> FrequencyCategorify(out_path=out_path), dataset(frame, 2))
    assert workflow.transform(frame)[name].tolist() == [4, 3, 3, 1]
