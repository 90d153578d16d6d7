"""Tests keys of seeds and replicas: known values, and no collisions."""

import itertools

import numpy as np

from merlin_popsampler.core.distributions import LogUniform
from merlin_popsampler.core.draws import make_draws
from merlin_popsampler.core.reference_draw import draw_ranks
from merlin_popsampler.core.stream_keys import mixed, own_bits, seed_key, signed


def test_the_published_sequence_of_splitmix64():
    """Compares with the first three published numbers from state 0."""
    increment = 0x9E3779B97F4A7C15
    found = [mixed(increment * i % 2**64) for i in range(3)]
    assert [f"{bits:016x}" for bits in found] == [
        "e220a8397b1dcdaf",
        "6e789e6aa1b965f4",
        "06c45d188009454f",
    ]


def test_keys_of_seeds_stay_what_they_are():
    """A seed that was saved must give the same stream later."""
    assert seed_key(17) == -9186087665489710237
    assert seed_key(-1) == seed_key(2**64 - 1)


def test_keys_have_64_bits_with_a_sign():
    assert [signed(bits) for bits in (0, 2**63 - 1, 2**63, 2**64 - 1)] == [
        0,
        2**63 - 1,
        -(2**63),
        -1,
    ]
    assert all(-(2**63) <= seed_key(seed) < 2**63 for seed in range(-50, 50))


def test_no_two_replicas_of_near_seeds_share_a_key():
    places = list(itertools.product(range(-6, 6), range(64), range(5)))
    keys = {seed_key(seed) ^ signed(own_bits(*place)) for seed, *place in places}
    assert len(keys) == len(places)


def test_streams_of_near_seeds_replicas_and_workers_draw_different_batches():
    draws = make_draws(LogUniform(400), 20)
    places = itertools.product(range(-6, 6), range(6), range(5))
    keys = [seed_key(seed) ^ signed(own_bits(*place)) for seed, *place in places]
    drawn = np.array([draw_ranks(draws, key, 0) for key in keys])
    # Unrelated streams share single ids by chance, but never the beginning of a batch.
    assert len({tuple(batch[:6]) for batch in drawn.tolist()}) == len(keys) == 360
    for apart in (1, 5, 30):  # the next worker, replica, seed
        assert np.mean(drawn[apart:] == drawn[:-apart]) < 0.1


def test_the_first_replica_draws_the_common_stream():
    assert signed(own_bits(0, 0)) == 0
    assert signed(own_bits(3, 0)) != signed(own_bits(0, 3))
