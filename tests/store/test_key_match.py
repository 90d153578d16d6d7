"""Keys of one fit among those of another: a combination is known whole, or not at all."""

import itertools

import pyarrow as pa

from merlin_popsampler.store.key_match import positions


def table(rows):
    return pa.table([pa.array(column) for column in zip(*rows)], ["a", "b", "c"])


def test_combinations_with_an_unknown_part_are_unknown():
    """Numbers of parts are put together: that of an unknown part must not shift the others."""
    known = [("a", 1, "x"), ("a", 2, "y"), ("b", 1, "y"), ("b", None, "y"), ("c", 2, "x")]
    asked = list(itertools.product("abcd", [1, 2, 3, None], "xyz"))
    expected = [known.index(row) if row in known else -1 for row in asked]
    assert positions(table(asked), table(known), "keys").tolist() == expected
