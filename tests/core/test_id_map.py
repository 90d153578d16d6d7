"""Maps from old ids to new ones: what they refuse, and what follows from them."""

import copy
import pickle

import numpy as np
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.core.domain import IdDomain, MappedIds
from merlin_popsampler.core.id_map import (
    IdMap,
    MovedRows,
    check_rows,
    check_same_shape,
    checked_id_maps,
    checked_new_items,
)

OLD, NEW = IdDomain(3, 7), IdDomain(4, 9)


def random_map(rng):
    """New ids drawn one by one, with no arithmetic in common with the class."""
    free = list(rng.permutation(np.arange(NEW.cardinality)))
    return [int(free.pop()) if rng.random() < 0.7 else -1 for _ in range(OLD.cardinality)]


@pytest.mark.parametrize("seed", range(5))
def test_the_inverse_leads_back(seed):
    new_ids = random_map(np.random.default_rng(seed))
    found = IdMap(new_ids, OLD, NEW)
    pairs = {(old, new) for old, new in enumerate(new_ids) if new >= 0}
    assert {(old, new) for new, old in enumerate(found.old_ids.tolist()) if old >= 0} == pairs
    assert found.new_ids.dtype == found.old_ids.dtype == np.int64
    kept = len(pairs)
    assert found.moved == MovedRows(kept, NEW.cardinality - kept, OLD.cardinality - kept)


COPIES = {
    "itself": lambda found: found,
    "deepcopy": copy.deepcopy,
    "pickle": lambda found: pickle.loads(pickle.dumps(found)),
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_neither_array_can_be_changed(copied):
    found = IdMap([0, 1, 2], IdDomain(2, 2), IdDomain(2, 2))
    assert found.old_ids.tolist() == [0, 1, 2]
    found = copied(found)
    for array in (found.new_ids, found.old_ids):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize(
    ("new_ids", "says"),
    [
        ([0, 1, 2, 3], "Expected new_ids for the ids 0 to 7"),
        ([[0, 1, 2, 3, 4, 5, 6, 7]], "Expected new_ids for the ids 0 to 7"),
        ([0, 1, 2, 3, 4, 5, 6, 10], "Expected new_ids from -1 to 9"),
        ([0, 1, 2, 3, 4, 5, 6, -2], "Expected new_ids from -1 to 9"),
        ([0, 1, 2, 3, 4, 5, 6, 6], "each from one old id"),
        ([0, 1, 2, 3, 4, 5, 6, 6.5], "Expected new_ids to be whole numbers"),
        ("items", "Expected new_ids to be whole numbers"),
    ],
)
def test_values_that_are_not_an_id_map_are_refused(new_ids, says):
    with pytest.raises(PopSamplerError, match=says):
        IdMap(new_ids, OLD, NEW)


def test_domains_of_ids_in_any_order():
    old, new = MappedIds(np.array([2, 4, 0])), MappedIds(np.array([3, 2, 1]))
    assert IdMap([1, -1, 2, -1, 3], old, new).old_ids.tolist() == [-1, 0, 2, 4]


@pytest.mark.parametrize("domains", [(8, NEW), (OLD, None)])
def test_numbers_of_ids_are_no_domains(domains):
    with pytest.raises(PopSamplerError, match="old and new to be the IdDomain of each fit"):
        IdMap(range(8), *domains)


def test_what_new_items_begin_with():
    found = IdMap([0, 1, 2, 5, -1, 4, 3, -1], OLD, NEW)  # old 6 is an item, new 3 is reserved
    assert sorted(found.averaged("mean")) == [3, 5]
    assert found.averaged("out of vocabulary").tolist() == [2]


def test_nothing_to_begin_with():
    nothing = IdMap([-1, -1, -1], IdDomain(2, 2), IdDomain(2, 2))
    with pytest.raises(PopSamplerError, match="items that both fits have"):
        nothing.averaged("mean")
    with pytest.raises(PopSamplerError, match="ids of unknown keys"):
        nothing.averaged("out of vocabulary")


def test_id_maps_by_name():
    found = IdMap([0, 1, 2], IdDomain(2, 2), IdDomain(2, 2))
    assert checked_id_maps(found) == {"": found}
    assert checked_id_maps({"a": found, "b": None}) == {"a": found, "b": None}
    for wrong in ({"a": [0, 1, 2]}, {1: found}, [found], None):
        with pytest.raises(PopSamplerError, match="id maps by name"):
            checked_id_maps(wrong)


def test_new_items_are_named_or_initialized():
    for right in ("mean", "out of vocabulary", "as initialized", np.zeros):
        assert checked_new_items(right) is right
    for wrong in ("zeros", None, 0):
        with pytest.raises(PopSamplerError, match="Expected new_items in"):
            checked_new_items(wrong)


def test_tables_of_other_fits_are_refused():
    found = IdMap(range(8), OLD, NEW)
    check_rows("items", ((8, 4), (10, 4)), found)
    check_rows("items", ((16, 4), (16, 4)), found)
    for shapes in (((7, 4), (10, 4)), ((8, 4), (9, 4)), ((8, 4), (10, 5)), ((), ())):
        with pytest.raises(PopSamplerError, match="Table 'items'"):
            check_rows("items", shapes, found)


def test_a_weight_that_may_be_of_items_is_not_copied():
    same = {"items": IdMap(range(8), OLD, OLD), "users": None}
    check_same_shape("layer", ((4, 9), (4, 9)), same)
    check_same_shape("scalar", ((), ()), same)
    for shapes in (((8, 4), (8, 4)), ((4, 8), (4, 8)), ((8,), (8,)), ((4, 7), (4, 9))):
        with pytest.raises(PopSamplerError, match="Weight 'layer'"):
            check_same_shape("layer", shapes, same)


def test_only_two_means_have_a_name():
    with pytest.raises(PopSamplerError, match="'median'. These are the means of old rows"):
        IdMap([0, 1, 2], IdDomain(2, 2), IdDomain(2, 2)).averaged("median")
