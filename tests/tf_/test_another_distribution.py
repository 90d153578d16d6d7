"""Users' own distributions, written in NumPy: TensorFlow draws, corrects and saves them."""

import json
import pickle

import numpy as np
import pytest
import tensorflow as tf

from merlin_popsampler import PopSamplerError, PopularityBasedSampler
from merlin_popsampler.distributions import Distribution, Segments, register_distribution
from tests.support import statistics_checks as checks
from tests.support.draws import many_batches
from tests.support.oracles import enumerate_inclusion, integral_of_one


@register_distribution
class Geometric(Distribution):
    """Each segment of `length` ranks half as likely as the one before it: flat segments."""

    name = "geometric in a test"

    def __init__(self, size, length=1):
        starts = np.arange(0, size, length)
        masses = 0.5 ** np.arange(len(starts)) * np.diff(starts, append=size)
        self.length = length
        super().__init__(Segments(starts, masses / masses.sum(), size))

    def get_config(self):
        return {"name": self.name, "size": self.size, "length": self.length}


@register_distribution
class ZipfMandelbrot(Distribution):
    """p(rank) in proportion to log((rank + shift + 1) / (rank + shift)): a logarithmic segment."""

    name = "zipf-mandelbrot in a test"

    def __init__(self, size, shift=3.5):
        super().__init__(Segments(np.zeros(1), np.ones(1), size, shift))

    def get_config(self):
        return {"name": self.name, "size": self.size, "shift": self.segments.shift}


def geometric(size, length):
    weights = 0.5 ** (np.arange(size) // length)
    return weights / weights.sum()


def zipf_mandelbrot(size, shift):
    weights = np.diff(np.log(np.arange(size + 1) + shift))
    return weights / weights.sum()


CASES = {
    "flat": (Geometric(8, 2), geometric(8, 2)),
    "logarithmic": (ZipfMandelbrot(8, 0.3), zipf_mandelbrot(8, 0.3)),
}


def sampler(distribution, **settings):
    settings = {"max_num_samples": 4, "seed": 17, **settings}
    return PopularityBasedSampler(distribution.size + 2, 3, distribution=distribution, **settings)


@pytest.mark.parametrize("name", CASES)
def test_repeated_draws_follow_it(name):
    distribution, probs = CASES[name]
    layer = sampler(distribution, unique=False, max_num_samples=500)
    ranks = many_batches(layer, 200)
    assert checks.follows(ranks, probs)
    assert not checks.follows(ranks, CASES[next(other for other in CASES if other != name)][1])
    expected_counts = layer.expected_count(tf.range(3, 11)).numpy()
    np.testing.assert_allclose(expected_counts, 500 * probs, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("num_sampled", [1, 4, 7, 8])
def test_unique_draws_are_priced_exactly(name, num_sampled):
    distribution, probs = CASES[name]
    layer = sampler(distribution, max_num_samples=num_sampled)
    inclusion = enumerate_inclusion(probs, num_sampled)
    expected_counts = layer.expected_count(tf.range(3, 11)).numpy()
    np.testing.assert_allclose(expected_counts, inclusion, rtol=1e-5)
    assert checks.includes(many_batches(layer, 4000), inclusion)


def test_expected_counts_of_a_longer_catalog():
    probs, ranks = zipf_mandelbrot(300, 3.5), [0, 1, 7, 50, 95, 96, 97, 150, 239, 240, 298, 299]
    for num_sampled in (2, 60, 299):
        layer = sampler(ZipfMandelbrot(300), max_num_samples=num_sampled)
        expected_counts = layer.expected_count(3 + tf.constant(ranks)).numpy()
        exact = [integral_of_one(probs, rank, num_sampled) for rank in ranks]
        np.testing.assert_allclose(expected_counts, exact, rtol=1e-5)


def test_a_head_is_decided_by_itself_where_it_pays():
    from merlin_popsampler.core.draw_plan import plan_draws
    from merlin_popsampler.core.expected_counts import inclusion_probability

    distribution = ZipfMandelbrot(10**6, 2.0)
    assert plan_draws(distribution, 20_000).head > 100
    layer = sampler(distribution, max_num_samples=20_000)
    edges = np.unique(np.geomspace(1, 10**6 + 1, 30).astype(np.int64)) - 1
    chance = np.add.reduceat(
        inclusion_probability(distribution, 20_000, distribution.probs()), edges[:-1]
    )
    found = np.histogram(many_batches(layer, 20), edges)[0] / 20
    assert (np.abs(found - chance) < 6 * np.sqrt(chance / 20) + 1e-9).all()


@pytest.mark.parametrize("name", CASES)
def test_it_survives_every_way_of_saving(name, tmp_path):
    distribution, _ = CASES[name]
    layer = sampler(distribution)
    layer.sample_ids()
    config = json.loads(json.dumps(layer.get_config()))
    assert PopularityBasedSampler.from_config(config).distribution == distribution
    inputs = tf.keras.Input((1,), dtype="int64")
    tf.keras.Model(inputs, layer(inputs)).save(tmp_path / "m.keras")
    copies = [
        pickle.loads(pickle.dumps(layer)),
        tf.keras.models.load_model(tmp_path / "m.keras").layers[-1],
    ]
    following = layer.sample_ids().numpy().tolist()
    for copy in copies:
        assert copy.distribution == distribution
        assert copy.sample_ids().numpy().tolist() == following


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_graphs_and_xla_draw_alike(name, jit_compile):
    distribution, _ = CASES[name]
    graph = tf.function(sampler(distribution).sampled_values, jit_compile=jit_compile)
    plain = sampler(distribution)
    for _ in range(3):
        ids, counts, _ = graph(tf.range(11)[:, None])
        np.testing.assert_array_equal(ids, plain.sample_ids())
        np.testing.assert_allclose(counts, plain.expected_count(tf.range(11)[:, None]), rtol=1e-6)


def test_its_name_will_do_where_the_size_says_the_rest():
    layer = PopularityBasedSampler(12, 3, 4, distribution="zipf-mandelbrot in a test")
    assert layer.distribution == ZipfMandelbrot(10)


def test_a_name_stands_for_one_distribution():
    with pytest.raises(PopSamplerError, match=r"'uniform', which is merlin_popsampler.*Uniform's"):

        @register_distribution
        class Another(Geometric):
            name = "uniform"

    assert PopularityBasedSampler(9, distribution="uniform", max_num_samples=2).distribution.prob(
        [0]
    ) == [0.1]
    with pytest.raises(
        PopSamplerError, match="configuration of the distribution 'geometric in a test'"
    ):
        PopularityBasedSampler(9, distribution={"name": Geometric.name, "length": 2})
