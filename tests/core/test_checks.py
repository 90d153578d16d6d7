"""Tests the one rule for integers, from any library."""

from fractions import Fraction

import numpy as np
import pytest

from merlin_popsampler.core.checks import batch_size, choice, flag, fraction, whole_number
from merlin_popsampler.errors import PopSamplerError

WHOLE = [7, 7.0, np.int8(7), np.uint64(7), np.float32(7), np.float64(7), Fraction(7), np.array(7)]


@pytest.mark.parametrize("value", WHOLE, ids=lambda value: type(value).__name__)
def test_whole_numbers_of_any_library(value):
    number = whole_number("x", value, 0, "")
    assert number == 7
    assert type(number) is int


@pytest.mark.parametrize(
    "value",
    [True, np.True_, None, "7", b"7", 7.5, float("nan"), float("inf"), 1j, [7], 2.0**53 + 2, 1e300],
    ids=repr,
)
def test_what_is_none_is_refused(value):
    with pytest.raises(PopSamplerError, match="Expected x to be a whole number >= 0. Received"):
        whole_number("x", value, 0, "")


def test_integers_have_no_upper_end_and_floats_end_where_they_are_exact():
    assert whole_number("x", 10**30, 0, "") == 10**30
    assert whole_number("x", 2.0**53, 0, "") == 2**53
    assert whole_number("x", -(2.0**53), -(10**30), "") == -(2**53)


def test_limits_are_part_of_the_range_and_of_the_message():
    assert [whole_number("x", value, 3, "", 5) for value in (3, 4, 5)] == [3, 4, 5]
    for value in (2, 6):
        with pytest.raises(PopSamplerError) as error:
            whole_number("x", value, 3, "Take 4.", 5)
        assert str(error.value) == (
            f"Expected x to be a whole number >= 3 and <= 5. Received: {value}. Take 4."
        )


def test_a_batch_of_distinct_draws_is_at_most_the_catalog():
    assert batch_size("num", 5, size=5, unique=True) == 5
    assert batch_size("num", 6, size=5, unique=False) == 6
    with pytest.raises(PopSamplerError, match=r"at most 5 unique.*num=6.*unique=False"):
        batch_size("num", 6, size=5, unique=True)
    for value in (0, -1, True):
        for unique in (True, False):
            with pytest.raises(
                PopSamplerError, match="num to be a whole number >= 1.*one, or more"
            ):
                batch_size("num", value, size=5, unique=unique)


@pytest.mark.parametrize("value", [0, 1, 0.7, np.float32(0.5), Fraction(1, 4)])
def test_a_fraction_is_from_0_to_1_both_included(value):
    found = fraction("x", value, "")
    assert found == value and type(found) is float


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), True, "1", None], ids=repr)
def test_no_fraction_is_refused(value):
    with pytest.raises(PopSamplerError, match=r"number from 0 to 1. Received: .* Take 1."):
        fraction("x", value, "Take 1.")


@pytest.mark.parametrize("value", [True, 1, np.True_, np.int64(1), np.array(True)], ids=repr)
def test_bools_of_any_library(value):
    assert flag("x", value) is True


class Tensor:
    """Has what a tensor of TensorFlow has: NumPy 2.5 lets `__index__` fail in this way."""

    shape = ()
    dtype = "<dtype: 'bool'>"

    def __bool__(self):
        return True

    def __index__(self):
        raise AttributeError("no attribute '__index__'")


def test_scalar_tensors():
    assert flag("x", Tensor()) is True
    with pytest.raises(PopSamplerError, match="Expected x to be a whole number"):
        whole_number("x", Tensor(), 0, "Pass one.")


@pytest.mark.parametrize(
    "value", ["False", "", None, 2, 0.5, [], np.array([True, False])], ids=repr
)
def test_text_is_no_bool(value):
    with pytest.raises(PopSamplerError, match="Expected x to be True or False. Received"):
        flag("x", value)


@pytest.mark.parametrize("value", ["c", None, ["a"], np.array(["a", "b"])], ids=repr)
def test_other_values_are_no_choice(value):
    with pytest.raises(PopSamplerError, match="one of .*Leave it at its default, 'a'"):
        choice("x", value, ("a", "b"))
