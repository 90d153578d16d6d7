"""The first distinct values of a sequence, by every algorithm."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from merlin_popsampler.tf import distinct


def plain(values, num):
    """The definition, and then the first whole numbers that are missing."""
    found = list(dict.fromkeys([*values, *range(num)]))
    return found[:num]


@pytest.mark.parametrize("algorithm", sorted(distinct.ALGORITHMS))
@given(st.lists(st.integers(0, 12), min_size=1, max_size=12), st.integers(1, 12))
def test_the_definition(algorithm, values, num):
    draws = tf.constant(values, tf.int64)
    assert distinct.ALGORITHMS[algorithm](draws, num).numpy().tolist() == plain(values, num)


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
@pytest.mark.parametrize("algorithm", sorted(distinct.ALGORITHMS))
def test_a_sequence_that_falls_short_is_completed(algorithm, dtype):
    """One case in exp(50), so made by hand: few distinct values, then the head of the catalog."""
    draws = tf.constant([7, 7, 3, 7, 3], dtype)
    first = distinct.ALGORITHMS[algorithm]
    assert first(draws, 2).numpy().tolist() == [7, 3]
    assert first(draws, 4).numpy().tolist() == [7, 3, 0, 1]
    assert first(draws, 5).numpy().tolist() == [7, 3, 0, 1, 2]


@pytest.mark.parametrize("algorithm", sorted(distinct.ALGORITHMS))
def test_values_up_to_the_largest_that_can_be_sorted(algorithm):
    largest = 2**63 // 16 - 1  # 12 draws, and 4 ranks that complete them
    first = [largest, 0, largest - 1, 2**58]  # 2**58 and 0 become equal if they lose bits
    values = tf.constant([*first, *[largest] * 8], tf.int64)
    found = distinct.ALGORITHMS[algorithm](values, 4)
    assert found.numpy().tolist() == first


def test_slots_won_by_others_are_settled_in_later_rounds():
    """Values that share their low bits collide in the first round of the hash table."""
    values = (np.arange(40) % 13) * 2**20
    found = distinct.first_distinct_hash(tf.constant(values, tf.int32), 13).numpy()
    assert found.tolist() == (np.arange(13) * 2**20).tolist()


@pytest.mark.parametrize("algorithm", ["sort", "hash"])
def test_fixed_shapes_compile(algorithm):
    values = np.random.default_rng(17).integers(0, 2**31 - 1, 3000) % 700
    first = tf.function(lambda draws: distinct.ALGORITHMS[algorithm](draws, 600), jit_compile=True)
    assert first(tf.constant(values)).numpy().tolist() == plain(values.tolist(), 600)
