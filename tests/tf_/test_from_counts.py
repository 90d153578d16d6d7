"""A Keras sampler from counts: ids in frequency order draw by the measured popularity."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from merlin_popsampler import FrequencyOrderError, PopularityBasedSampler
from merlin_popsampler.distributions import Empirical, PopularityCurve

COUNTS = np.array([0, 90, 40, 40, 7, 7, 1])


def test_it_is_the_sampler_of_the_measured_popularity():
    sampler = PopularityBasedSampler.from_counts(
        COUNTS, reserved_ids=[0], max_num_samples=3, seed=17, distortion=0.75
    )
    distribution = Empirical(PopularityCurve.from_counts(COUNTS[1:]), 0.75)
    plain = PopularityBasedSampler(6, 1, 3, 17, distribution=distribution)
    assert sampler.get_config()["distribution"] == plain.get_config()["distribution"]
    assert (sampler.min_id, sampler.max_id) == (1, 6)
    for _ in range(3):
        assert sampler.sample_ids().numpy().tolist() == plain.sample_ids().numpy().tolist()
    ids = np.arange(9)
    assert np.array_equal(sampler.expected_count(ids), plain.expected_count(ids))


@pytest.mark.parametrize("counts", [{1: 2, 2: 3}, {1: 3, 3: 2}])
def test_ids_in_another_order_are_refused_until_keras_maps_them(counts):
    with pytest.raises(FrequencyOrderError, match="popularity_from"):
        PopularityBasedSampler.from_counts(counts, max_num_samples=1)
