"""Tests options by column."""

import pickle
from types import SimpleNamespace

import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.ops.column_options import PerColumn, option_of


def test_named_by_group_or_column_or_not_at_all():
    operator = SimpleNamespace(max_size=PerColumn({"a_b": 9, "c": 5}, 0), num_buckets=None)
    assert option_of(operator, "max_size", "a_b", ("a", "b")) == 9
    assert option_of(operator, "max_size", "c", ("c",)) == 5
    assert option_of(operator, "max_size", "d", ("d",)) == 0
    assert option_of(operator, "num_buckets", "d", ("d",)) is None


def test_two_values_for_one_vocabulary():
    operator = SimpleNamespace(max_size={"a": 9, "b": 5})
    with pytest.raises(PopSamplerError, match=r"\['a', 'b'\].*one max_size.*\[5, 9\]"):
        option_of(operator, "max_size", "a_b", ("a", "b"))


def test_pickles():
    copy = pickle.loads(pickle.dumps(PerColumn({"a": 1}, 7)))
    assert copy == {"a": 1} and copy["other"] == 7
