"""Measures how far each sampled softmax ends from 2,000 known probabilities.

All losses have temperature 0.2, 100 samples, and the same draws and batches. Compared are the loss
of this package, and TensorFlow's `sampled_softmax_loss` on queries divided by the temperature. Two
wrong losses correct before the temperature, or take `1 - (1 - p)^K` as expected count. The measure
is the final KL divergence from the truth in nats, over paired seeds. Writes learning.md and
learning.json under `--output`.
"""

import argparse
import os
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from report import publish

from merlin_popsampler.distributions import LogUniform
from merlin_popsampler.tf import PopularityBasedSampler, SampledSoftmax
from merlin_popsampler.tf.logits import Candidates, contrastive_logits, cross_entropy

SIZE, SAMPLES, BATCH, TEMPERATURE = 2000, 100, 512, 0.2
OURS, BASE = "ours", "tf.nn.sampled_softmax_loss"
Loss = Callable[[tf.Variable, tf.Tensor], tf.Tensor]


def truth(seed: int) -> Any:
    """Returns a log-uniform distribution with noise, so that it differs from the proposal."""
    shaken = LogUniform(SIZE).prob(np.arange(SIZE))
    shaken = shaken * np.exp(np.random.default_rng(seed).normal(scale=0.5, size=SIZE))
    return shaken / shaken.sum()


def losses(seed: int) -> Dict[str, Callable[[], Loss]]:
    """Returns each loss as a function of item vectors `[SIZE, 1]` and positives; queries are 1."""

    def sampler() -> PopularityBasedSampler:
        return PopularityBasedSampler(SIZE - 1, 0, SAMPLES, seed)

    def ours() -> Loss:
        layer = SampledSoftmax(sampler(), TEMPERATURE)
        return lambda table, ids: layer(tf.ones([BATCH, 1]), ids, table, training=True)

    def tensorflows() -> Loss:
        layer = sampler()
        return lambda table, ids: tf.nn.sampled_softmax_loss(
            table,
            tf.zeros([SIZE]),
            ids[:, None],
            tf.fill([BATCH, 1], 1 / TEMPERATURE),
            SAMPLES,
            SIZE,
            sampled_values=layer.sampled_values(ids[:, None]),
        )

    def with_counts(
        expected_count: Callable[[PopularityBasedSampler, tf.Tensor], tf.Tensor],
    ) -> Loss:
        layer = sampler()

        def loss(table: tf.Variable, ids: tf.Tensor) -> tf.Tensor:
            sampled = layer.sample_ids()
            rows, others = (
                Candidates(tf.gather(table, chosen), chosen, expected_count(layer, chosen))
                for chosen in (ids, sampled)
            )
            query = tf.ones([BATCH, 1])
            logits = contrastive_logits(query, rows, others, layer.domain, TEMPERATURE)
            return cross_entropy(*logits)

        return loss

    return {
        OURS: ours,
        BASE: tensorflows,
        "corrected before the temperature": lambda: with_counts(
            lambda layer, ids: layer.expected_count(ids) ** (1 / TEMPERATURE)
        ),
        "1 - (1 - p)^K": lambda: with_counts(
            lambda layer, ids: -tf.math.expm1(SAMPLES * tf.math.log1p(-layer.probability(ids)))
        ),
    }


def divergence(make: Callable[[], Loss], seed: int, steps: int) -> float:
    """Trains vectors that start at the truth, and returns their final KL divergence from it."""
    probs = truth(seed)
    table = tf.Variable(TEMPERATURE * np.log(probs)[:, None], dtype=tf.float32)
    rates = tf.keras.optimizers.schedules.CosineDecay(0.02, steps)
    optimizer, loss = tf.keras.optimizers.Adam(rates), make()
    cumulated = tf.constant(np.cumsum(probs)[:-1])

    def train() -> None:
        for step in tf.range(steps):
            uniforms = tf.random.stateless_uniform([BATCH], [seed, step], dtype=tf.float64)
            ids = tf.searchsorted(cumulated, uniforms, side="right", out_type=tf.int64)
            with tf.GradientTape() as tape:
                mean = tf.reduce_mean(loss(table, ids))
            gradient = tf.convert_to_tensor(tape.gradient(mean, table))
            optimizer.apply_gradients([(gradient, table)])

    optimizer.build([table])
    tf.function(train)()
    scores = table.numpy()[:, 0].astype(np.float64) / TEMPERATURE
    log_probs = scores - np.logaddexp.reduce(scores)
    return float(np.sum(probs * (np.log(probs) - log_probs)))


def as_table(found: Dict[str, List[float]]) -> List[str]:
    base = np.array(found[BASE])
    lines = ["| loss | KL divergence, nats | times TensorFlow's |", "|---|---|---|"]
    for name, values in found.items():
        ratios = np.array(values) / base
        error = ratios.std(ddof=1) / np.sqrt(len(ratios)) if len(ratios) > 1 else np.nan
        lines.append(f"| {name} | {np.mean(values):.2e} | {ratios.mean():.3f} ({error:.3f}) |")
    return lines


def main(argv: Optional[List[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6000)
    args = parser.parse_args(argv)
    found = {
        name: [divergence(losses(seed)[name], seed, args.steps) for seed in range(args.seeds)]
        for name in losses(0)
    }
    lines = as_table(found)
    publish(args.output, "learning", lines, found)


if __name__ == "__main__":
    main()
