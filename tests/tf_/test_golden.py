"""A new version, another machine, another TensorFlow: the same draws as ever."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

from merlin_popsampler.tf.logits import Candidates, contrastive_logits, cross_entropy
from merlin_popsampler.tf.sampler import PopularityBasedSampler
from tests.support import golden_loss
from tests.support.draws import draw_ranks
from tests.support.golden_draws import DISTRIBUTIONS, GOLDEN
from tests.support.golden_samplers import BATCHES, CASES, sampler_of, summary
from tests.support.golden_samplers import GOLDEN as GOLDEN_SAMPLERS
from tests.support.processors import levels, run_on


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_draws(case):
    name, num_sampled, kind = case.split()
    ranks = draw_ranks(
        DISTRIBUTIONS[name], 17, 3, int(num_sampled), unique=kind == "unique"
    ).numpy()
    assert ranks[:8].tolist() == GOLDEN[case]["first"]
    digest = hashlib.sha256(ranks.astype("<i8").tobytes()).hexdigest()
    assert digest == GOLDEN[case]["sha256"]


def test_every_distribution_is_there():
    assert {case.split()[0] for case in GOLDEN} == set(DISTRIBUTIONS)


@pytest.mark.parametrize("case", CASES)
def test_golden_samplers(case):
    """The PyTorch sampler must draw the same ids."""
    sampler = sampler_of(PopularityBasedSampler, case)
    drawn = [summary(sampler.sample_ids().numpy()) for _ in range(BATCHES)]
    assert drawn == GOLDEN_SAMPLERS[case]


@pytest.mark.parametrize("case", golden_loss.CASES)
def test_golden_losses(case):
    query, table = (
        tf.Variable(x, dtype=tf.float32) for x in (golden_loss.QUERY, golden_loss.TABLE)
    )

    def candidates(ids, counts):
        return Candidates(tf.gather(table, ids), tf.constant(ids), tf.constant(counts, tf.float32))

    with tf.GradientTape() as tape:
        logits = contrastive_logits(
            query,
            candidates(golden_loss.TRUE_IDS, golden_loss.TRUE_COUNTS),
            candidates(golden_loss.SAMPLED_IDS, golden_loss.COUNTS),
            golden_loss.DOMAIN,
            **golden_loss.CASES[case],
        )
        losses = cross_entropy(*logits)
        total = tf.reduce_sum(losses * tf.constant(golden_loss.WEIGHTS, tf.float32))
    gradients = map(tf.convert_to_tensor, tape.gradient(total, [query, table]))
    names = ("true_logits", "logits", "losses", "query", "table")
    found = dict(zip(names, (*logits, losses, *gradients)))
    for name, expected in golden_loss.GOLDEN[case].items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6)


SAMPLERS = """
from merlin_popsampler.tf.sampler import PopularityBasedSampler
from tests.support.golden_samplers import BATCHES, CASES, GOLDEN, sampler_of, summary

for case in CASES:
    sampler = sampler_of(PopularityBasedSampler, case)
    assert [summary(sampler.sample_ids().numpy()) for _ in range(BATCHES)] == GOLDEN[case], case
"""


def test_golden_samplers_on_another_processor():
    """Regression: NumPy's last bits change in the constants from which TensorFlow draws."""
    run_on(levels()["oldest"], SAMPLERS)
