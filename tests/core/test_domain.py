"""Tests ranges of ids: limits, ids to ranks and back, accepted integers."""

import numpy as np
import pytest

from merlin_popsampler.core.domain import MAX_LEGAL_ID, IdDomain, MappedIds, id_domain
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


@pytest.mark.parametrize("make", [lambda: IdDomain(3, 5), lambda: MappedIds([5, 3, 4])])
def test_both_ends_stand_for_items_and_nothing_beyond(make):
    ids = np.array([-1, 0, 2, 3, 4, 5, 6, 99])
    assert make().contains(ids).tolist() == [False] * 3 + [True] * 3 + [False] * 2


@pytest.mark.parametrize("ids", [[8, 3, 5], [0, 2], [7]])
def test_ids_in_any_order_are_mapped_to_ranks_and_back(ids):
    items = MappedIds(ids)
    assert (items.size, items.cardinality) == (len(ids), max(ids) + 1)
    assert (items.min_id, items.max_id) == (min(ids), max(ids))
    assert items.ids.dtype == items.ranks.dtype == np.int32
    for given in range(-3, 12):
        rank = items.rank(np.array([[given]]))
        assert rank.tolist() == [[ids.index(given) if given in ids else -1]]
        assert rank.dtype == np.int64
    back = items.id(np.arange(len(ids)))
    assert back.tolist() == ids and back.dtype == np.int64


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "a flat list of ids from 0 on"),
        ([[3, 4]], "a flat list of ids from 0 on"),
        ([3, -1], "a flat list of ids from 0 on"),
        ([3, 4, 3], "repeated ids"),
        ([0, 0], "repeated ids"),
        ([0.5, 1.0], "item_ids"),
    ],
)
def test_lists_that_are_not_ids_are_refused(ids, message):
    with pytest.raises(PopSamplerError, match=message):
        MappedIds(ids)


def test_a_list_has_the_ends_that_are_named():
    assert id_domain(3, 5) == IdDomain(3, 5)
    assert id_domain(3, 8, [8, 3, 5]).ids.tolist() == [8, 3, 5]
    for ends in ((2, 8), (4, 8), (3, 9), (3, 7)):
        with pytest.raises(PopSamplerError, match="item_ids, 3 and 8. Received: .*Pass these two"):
            id_domain(*ends, [8, 3, 5])


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
def test_integers_of_every_library_become_python_ints(whole):
    """Merlin's schema files turn integers into floats."""
    for domain in (IdDomain(10, whole), IdDomain(whole, 10)):
        assert [type(domain.min_id), type(domain.max_id)] == [int, int]
        assert (domain.min_id, domain.max_id) == (10, 10)


@pytest.mark.parametrize("other", [True, np.True_, 10.5, float("inf"), float("nan"), "10", None])
def test_values_that_are_not_integers_are_refused_by_name(other):
    with pytest.raises(PopSamplerError, match=r"max_id .*from the data set's schema"):
        IdDomain(0, other)
    with pytest.raises(PopSamplerError, match=r"min_id .*from the data set's schema"):
        IdDomain(other, 10)
