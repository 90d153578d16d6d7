"""Tests options by column."""

import pickle
from types import SimpleNamespace

import pandas as pd
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.ops.column_options import PerColumn, check_names, option_of
from merlin_popsampler.ops.keys.columns import KeyGroup
from tests.support.workflow_helpers import encode

JOINT = KeyGroup("a_b", ("a", "b"), joint=True)
COMBINED = KeyGroup("a_b", ("a", "b"), joint=False)


def single(name):
    return KeyGroup(name, (name,), joint=False)


def options(**named):
    return SimpleNamespace(**{"num_buckets": None, "max_size": 0, "freq_threshold": 0, **named})


def test_named_by_group_or_column_or_not_at_all():
    operator = options(max_size=PerColumn({"a_b": 9, "c": 5}, 0))
    assert option_of(operator, "max_size", JOINT) == 9
    assert option_of(operator, "max_size", single("c")) == 5
    assert option_of(operator, "max_size", single("d")) == 0
    assert option_of(operator, "num_buckets", single("d")) is None


def test_two_values_for_one_vocabulary():
    operator = options(max_size={"a": 9, "b": 5})
    with pytest.raises(PopSamplerError, match=r"\['a', 'b'\].*one max_size.*\[5, 9\]"):
        option_of(operator, "max_size", JOINT)
    operator.max_size["a_b"] = 7  # Categorify needs all three names
    assert option_of(operator, "max_size", JOINT) == 7


def test_combined_columns_are_named_by_their_own_name_alone():
    assert option_of(options(max_size={"a": 4}), "max_size", COMBINED) == 0
    assert option_of(options(max_size={"a": 4, "a_b": 9}), "max_size", COMBINED) == 9


@pytest.mark.parametrize("option", ["num_buckets", "max_size", "freq_threshold"])
def test_misspelt_name(option):
    groups = [single("item_id"), JOINT]
    for named in ({"itemid": 3}, {"itemid": 3, "a": 3}, {"c": 3, "item_id": 3}):
        with pytest.raises(
            PopSamplerError, match=f"names of this operator's columns.*{[*named][:1]}"
        ):
            check_names(options(**{option: named}), groups)
    for named in (
        {},
        {"a": 3},
        {"a_b": 3, "b": 3},
        {"item_id": 3, "a": None, "of another operator": 3},
    ):
        check_names(options(**{option: named}), groups)
    with pytest.raises(PopSamplerError, match="no value for .*a_b"):
        check_names(options(**{option: {"a": 3}}), [COMBINED])


def test_misspelt_name_does_not_pass_a_fit(out_path):
    frame = pd.DataFrame({"item_id": [1, 1, 2], "user": [1, 2, 2]})
    with pytest.raises(PopSamplerError, match="Correct the names"):
        encode(frame, ["item_id", "user"], out_path, freq_threshold={"itemid": 2})
    # the other way out, for a dict that serves two operators
    both = {"item_id": 2, "city": 1, "user": None}
    _, ids = encode(frame, ["item_id", "user"], out_path, freq_threshold=both)
    assert ids["item_id"].tolist() == [3, 3, 2] and ids["user"].tolist() == [4, 3, 3]


def test_options_of_combined_columns_agree_with_the_schema(out_path):
    frame = pd.DataFrame({"a": [1, 1, 2, 3, 3, 3], "b": [1, 2, 2, 2, 3, 3]})
    sizes = {"a": 4, "a_b": 9}
    workflow, ids = encode(
        frame, [["a", "b"], "a"], out_path, 1, encode_type="combo", max_size=sizes
    )
    assert ids["a"].max() == 3 and ids["a_b"].max() == 7
    found = {column.name: column.properties["max_size"] for column in workflow.output_schema}
    assert found == sizes


def test_pickles():
    copy = pickle.loads(pickle.dumps(PerColumn({"a": 1}, 7)))
    assert copy == {"a": 1} and copy["other"] == 7
