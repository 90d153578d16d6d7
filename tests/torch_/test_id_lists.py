"""Tests lists of ids by row: membership, and first occurrences in a row."""

import numpy as np
import pytest
import torch

from merlin_popsampler.torch.id_lists import IdLists, among, as_id_lists, first_in_row, join

LISTS = [[4, 4, 9, -7, 4], [], [9, 4, 10**12, 9], [4]]


def lists():
    nested = torch.nested.nested_tensor(
        [torch.tensor(ids, dtype=torch.int64) for ids in LISTS], layout=torch.jagged
    )
    return as_id_lists("x", nested, (4,), torch.device("cpu"))


def test_one_list_after_the_other():
    found = lists()
    assert found.ids.tolist() == sum(LISTS, [])
    assert found.rows.tolist() == [0] * 5 + [2] * 4 + [3]
    dense = as_id_lists("x", [[[4, 9]], [[3, 3]]], (2, 3), torch.device("cpu"))
    assert dense.ids.tolist() == [4, 9] * 3 + [3, 3] * 3
    assert dense.rows.tolist() == np.repeat(np.arange(6), 2).tolist()


def test_joined_lists_are_all_of_them():
    one = lists()
    assert join(None, None) is None and join(None, one) is one
    both = join(lists(), None, lists())
    assert both.ids.tolist() == 2 * sum(LISTS, [])


def test_which_ids_are_listed():
    ids = torch.tensor([9, 4, 4, 11])
    expected = [[item in row for item in ids] for row in LISTS]
    assert among(lists(), ids, 4).tolist() == expected


@pytest.mark.parametrize("cardinality", [10, 11, 2**40])
def test_which_ids_are_the_first_of_their_row(cardinality):
    """Ids out of range must not collide with ids of the next row."""
    found = first_in_row(lists(), cardinality).tolist()
    for place, (row, item) in enumerate((i, x) for i, ids in enumerate(LISTS) for x in ids):
        if 0 <= item < cardinality:
            earlier = sum(LISTS[:row], [])
            expected = item not in LISTS[row][: place - len(earlier)]
            assert found[place] == expected
    none = IdLists(*(torch.zeros(0, dtype=torch.int64) for _ in range(2)))
    assert first_in_row(none, cardinality).tolist() == []
