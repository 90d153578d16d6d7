"""The range of ids: its edges, its two directions, what it takes for a whole number."""

import numpy as np
import pytest

from merlin_popsampler.core.domain import MAX_LEGAL_ID, IdDomain, MappedIds
from merlin_popsampler.errors import PopSamplerError


def test_a_range_in_numbers():
    domain = IdDomain(3, 10)
    assert (domain.min_id, domain.max_id) == (3, 10)
    assert (domain.size, domain.cardinality) == (8, 11)


def test_ranks_and_ids_are_each_others_inverse():
    domain = IdDomain(3, 10)
    ids = np.arange(3, 11)
    assert domain.rank(ids).tolist() == list(range(8))
    assert domain.id(domain.rank(ids)).tolist() == ids.tolist()
    assert (domain.rank(3), domain.id(7)) == (0, 10)


@pytest.mark.parametrize("items", [IdDomain(3, 5), MappedIds([5, 3, 4])], ids=["range", "list"])
def test_both_ends_stand_for_items_and_nothing_beyond(items):
    ids = np.array([-1, 0, 2, 3, 4, 5, 6, 99])
    assert items.contains(ids).tolist() == [False] * 3 + [True] * 3 + [False] * 2


def test_equal_ranges_are_one_key():
    assert IdDomain(3, 10) == IdDomain(3.0, np.int32(10))
    assert len({IdDomain(3, 10), IdDomain(3, 10), IdDomain(2, 10)}) == 2


@pytest.mark.parametrize(
    ("first", "last", "size"),
    [
        (0, 0, 1),
        (0, -1, 0),  # no items at all
        (3, 2, 0),
        (0, MAX_LEGAL_ID - 1, MAX_LEGAL_ID),
        (MAX_LEGAL_ID - 1, MAX_LEGAL_ID - 1, 1),
    ],
)
def test_the_outermost_ranges_are_accepted(first, last, size):
    assert IdDomain(first, last).size == size


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (-1, 5),
        (-1, -2),
        (3, 1),
        (0, -2),
        (0, MAX_LEGAL_ID),
        (MAX_LEGAL_ID, MAX_LEGAL_ID),
    ],
)
def test_ranges_beyond_them_are_refused(first, last):
    with pytest.raises(PopSamplerError, match="Received: "):
        IdDomain(first, last)


@pytest.mark.parametrize("whole", [10, 10.0, np.int8(10), np.uint64(10), np.float64(10)])
def test_every_librarys_whole_numbers_become_pythons(whole):
    """Merlin's schema files turn integers into floats."""
    for domain in (IdDomain(10, whole), IdDomain(whole, 10)):
        assert [type(domain.min_id), type(domain.max_id)] == [int, int]
        assert (domain.min_id, domain.max_id) == (10, 10)


@pytest.mark.parametrize("other", [True, np.True_, 10.5, float("inf"), float("nan"), "10", None])
def test_what_is_no_whole_number_is_refused_by_name(other):
    with pytest.raises(PopSamplerError, match=r"max_id .*from the data set's schema"):
        IdDomain(0, other)
    with pytest.raises(PopSamplerError, match=r"min_id .*from the data set's schema"):
        IdDomain(other, 10)
