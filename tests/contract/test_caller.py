"""Warnings name the line of the user's program, however deep in the package they begin."""

import warnings

import pytest

from merlin_popsampler import popularity_from
from merlin_popsampler.contract.caller import caller_level
from merlin_popsampler.contract.catalog_sampler import CatalogSampler


class Nothing(CatalogSampler):
    def __init__(self, **arguments):
        pass


@pytest.mark.parametrize("call", [popularity_from, Nothing.from_counts])
def test_a_warning_names_the_line_that_called_the_package(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call([0, 3])
    assert [warning.filename for warning in caught] == [__file__]


def test_outside_of_the_package_the_caller_is_the_line_itself():
    assert caller_level() == 1
