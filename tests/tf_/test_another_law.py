"""Laws that nobody foresaw, written in NumPy alone: TensorFlow draws, prices and saves them."""

import json
import pickle

import numpy as np
import pytest
import tensorflow as tf

from merlin_popsampler import PopSamplerError, PopularityBasedSampler
from merlin_popsampler.laws import Law, Pieces, register_law
from tests.support import statistics_checks as checks
from tests.support.draws import many_batches
from tests.support.oracles import enumerate_inclusion, integral_inclusion


@register_law
class Geometric(Law):
    """Each piece of `length` ranks half as likely as the one before it: flat pieces."""

    name = "geometric in a test"

    def __init__(self, size, length=1):
        starts = np.arange(0, size, length)
        masses = 0.5 ** np.arange(len(starts)) * np.diff(starts, append=size)
        self.length = length
        super().__init__(Pieces(starts, masses / masses.sum(), size))

    def get_config(self):
        return {"name": self.name, "size": self.size, "length": self.length}


@register_law
class ZipfMandelbrot(Law):
    """p(rank) in proportion to log((rank + shift + 1) / (rank + shift)): a logarithmic piece."""

    name = "zipf-mandelbrot in a test"

    def __init__(self, size, shift=3.5):
        super().__init__(Pieces(np.zeros(1), np.ones(1), size, shift))

    def get_config(self):
        return {"name": self.name, "size": self.size, "shift": self.pieces.shift}


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


def sampler(law, **settings):
    settings = {"max_num_samples": 4, "seed": 17, **settings}
    return PopularityBasedSampler(law.size + 2, 3, law=law, **settings)


@pytest.mark.parametrize("name", CASES)
def test_repeated_draws_follow_it(name):
    law, probs = CASES[name]
    layer = sampler(law, unique=False, max_num_samples=500)
    ranks = many_batches(layer, 200)
    assert checks.follows(ranks, probs)
    assert not checks.follows(ranks, CASES[next(other for other in CASES if other != name)][1])
    prices = layer.expected_count(tf.range(3, 11)).numpy()
    np.testing.assert_allclose(prices, 500 * probs, rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("num_sampled", [1, 4, 7, 8])
def test_unique_draws_are_priced_exactly(name, num_sampled):
    law, probs = CASES[name]
    layer = sampler(law, max_num_samples=num_sampled)
    inclusion = enumerate_inclusion(probs, num_sampled)
    prices = layer.expected_count(tf.range(3, 11)).numpy()
    np.testing.assert_allclose(prices, inclusion, rtol=1e-5)
    assert checks.includes(many_batches(layer, 4000), inclusion)


@pytest.mark.parametrize("num_sampled", [2, 60, 299])
def test_prices_of_a_longer_catalog(num_sampled):
    law = ZipfMandelbrot(300)
    expected = integral_inclusion(zipf_mandelbrot(300, 3.5))[num_sampled - 1]
    prices = sampler(law, max_num_samples=num_sampled).expected_count(tf.range(3, 303)).numpy()
    np.testing.assert_allclose(prices, expected, rtol=1e-5)


def test_a_head_is_decided_by_itself_where_it_pays():
    from merlin_popsampler.core.draw_plan import plan_draws
    from merlin_popsampler.core.prices import inclusion_probability

    law = ZipfMandelbrot(10**6, 2.0)
    assert plan_draws(law, 20_000).head > 100
    layer = sampler(law, max_num_samples=20_000)
    edges = np.unique(np.geomspace(1, 10**6 + 1, 30).astype(np.int64)) - 1
    chance = np.add.reduceat(inclusion_probability(law, 20_000, law.probs()), edges[:-1])
    found = np.histogram(many_batches(layer, 20), edges)[0] / 20
    assert (np.abs(found - chance) < 6 * np.sqrt(chance / 20) + 1e-9).all()


@pytest.mark.parametrize("name", CASES)
def test_it_survives_every_way_of_saving(name, tmp_path):
    law, _ = CASES[name]
    layer = sampler(law)
    layer.sample_ids()
    config = json.loads(json.dumps(layer.get_config()))
    assert PopularityBasedSampler.from_config(config).law == law
    inputs = tf.keras.Input((1,), dtype="int64")
    tf.keras.Model(inputs, layer(inputs)).save(tmp_path / "m.keras")
    copies = [
        pickle.loads(pickle.dumps(layer)),
        tf.keras.models.load_model(tmp_path / "m.keras").layers[-1],
    ]
    following = layer.sample_ids().numpy().tolist()
    for copy in copies:
        assert copy.law == law
        assert copy.sample_ids().numpy().tolist() == following


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_graphs_and_xla_draw_alike(name, jit_compile):
    law, _ = CASES[name]
    graph = tf.function(sampler(law).sampled_values, jit_compile=jit_compile)
    plain = sampler(law)
    for _ in range(3):
        ids, counts, _ = graph(tf.range(11)[:, None])
        np.testing.assert_array_equal(ids, plain.sample_ids())
        np.testing.assert_allclose(counts, plain.expected_count(tf.range(11)[:, None]), rtol=1e-6)


def test_its_name_will_do_where_the_size_says_the_rest():
    layer = PopularityBasedSampler(12, 3, 4, law="zipf-mandelbrot in a test")
    assert layer.law == ZipfMandelbrot(10)


def test_a_name_stands_for_one_law():
    with pytest.raises(PopSamplerError, match="'uniform', which is Uniform's"):

        @register_law
        class Another(Geometric):
            name = "uniform"

    assert PopularityBasedSampler(9, law="uniform", max_num_samples=2).law.prob([0]) == [0.1]
    with pytest.raises(PopSamplerError, match="configuration of the law 'geometric in a test'"):
        PopularityBasedSampler(9, law={"name": Geometric.name, "length": 2})
