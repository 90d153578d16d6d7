"""Compares proposal distributions and logQ corrections in two experiments.

Learning: trains a sampled softmax on a catalog of known probabilities, with each distribution and
each correction. The logits start at the truth, and a correct correction keeps them there. The
result is the KL divergence from the truth, in nats. The sum over positives is exact, so only the
negatives are random. Accidental hits are masked.

Demo (with --data, a folder of preprocess.py): trains the retrieval model of train.py with each
distribution, with equal budget and several seeds.

Writes compare_distributions.md, compare_distributions.json and compare_distributions.png under
`--output`.
"""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")

from merlin_popsampler import compat

compat.enable()  # before the first import of Merlin

import numpy as np
import tensorflow as tf
from flags import local_path, made, whole
from tqdm import tqdm

from merlin_popsampler import PopSamplerError, PopularityBasedSampler
from merlin_popsampler.distributions import Empirical, PopularityCurve

ITEMS = 2000
Sample = Callable[[], Tuple[tf.Tensor, tf.Tensor, tf.Tensor]]
"""Sampled ids `[K]`, and the log corrections of all items `[n]` and of the sampled ids `[K]`."""


def true_counts(seed: int) -> Any:
    """Draws counts by Zipf's law with noise of one third, in frequency order."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(scale=1 / 3, size=ITEMS)
    return np.sort(1e7 / np.arange(1, ITEMS + 1) * np.exp(noise))[::-1].astype(np.int64)


def popsampler(distribution: Any, num_sampled: int, seed: int) -> Sample:
    sampler = PopularityBasedSampler(
        ITEMS - 1, max_num_samples=num_sampled, seed=seed, distribution=distribution
    )

    def sample() -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        ids, all_counts, counts = sampler.sampled_values(tf.range(ITEMS, dtype=tf.int64))
        return ids, tf.math.log(all_counts), tf.math.log(counts)

    return sample


def tensorflow_op(num_sampled: int, seed: int) -> Sample:
    """Samples by TensorFlow's op with its own correction, from its observed number of tries."""

    def sample() -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        ids, all_counts, counts = tf.random.log_uniform_candidate_sampler(
            tf.range(ITEMS, dtype=tf.int64)[:, None], 1, num_sampled, True, ITEMS, seed=seed
        )
        return ids, tf.math.log(all_counts[:, 0]), tf.math.log(counts)

    return sample


def reference(num_sampled: int, seed: int) -> Sample:
    """Samples by TensorFlow's op, corrected by `1 - (1 - p)^K` as in Merlin Models."""
    probs = np.log1p(1 / np.arange(1.0, ITEMS + 1)) / np.log1p(ITEMS)
    log_q = tf.constant(np.log(-np.expm1(num_sampled * np.log1p(-probs))), tf.float32)
    op = tensorflow_op(num_sampled, seed)

    def sample() -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        ids = op()[0]
        return ids, log_q, tf.gather(log_q, ids)

    return sample


def samples(num_sampled: int, counts: Any, seed: int) -> Dict[str, Sample]:
    steps = Empirical(PopularityCurve.from_counts(counts))
    return {
        "reference": reference(num_sampled, seed),
        "TensorFlow's op": tensorflow_op(num_sampled, seed),
        "popsampler, log-uniform": popsampler("log_uniform", num_sampled, seed),
        "popsampler, empirical": popsampler(steps, num_sampled, seed),
    }


def converged(sample: Sample, probs: Any, steps: int) -> Any:
    """Trains from the true logits by sampled softmax, and returns the change of the logits, `[n]`.

    The gradient is summed over the positives with their true probabilities. Let
    `a = logits - log q`, let Z be the sum of `exp(a)` over the sample, and Z_i that sum without
    item i. Rows with positive i contribute `p_i (exp(a_i) / (exp(a_i) + Z_i) - 1)`. A sampled id s
    gets `exp(a_s) * (sum over i != s of p_i / (exp(a_i) + Z_i))` from all other rows.

    Steps are divided by p_i. Their rate is below the smallest probability to be sampled. The second
    half of the path is averaged.
    """
    truth = tf.constant(probs, tf.float64)
    rate = 0.3 * float(probs[-1]) * int(sample()[0].shape[0])

    def run() -> tf.Tensor:
        logits, total = tf.math.log(truth), tf.zeros([ITEMS], tf.float64)
        for step in tf.range(steps):
            ids, all_log_q, log_q = sample()
            weights = tf.exp(logits - tf.cast(all_log_q, tf.float64))
            drawn = tf.exp(tf.gather(logits, ids) - tf.cast(log_q, tf.float64))
            sampled = tf.scatter_nd(ids[:, None], drawn, [ITEMS])
            shares = truth / (weights + tf.reduce_sum(drawn) - sampled)
            gradient = weights * shares - truth + sampled * (tf.reduce_sum(shares) - shares)
            logits -= rate * gradient / truth
            logits -= tf.reduce_sum(truth * (logits - tf.math.log(truth)))
            total += tf.where(step >= steps // 2, logits, tf.zeros_like(logits))
        return total / tf.cast(steps - steps // 2, tf.float64) - tf.math.log(truth)

    return tf.function(run)().numpy()


def divergence(pair: Sequence[Sample], probs: Any, steps: int) -> float:
    """Estimates the KL divergence of the limit from the truth, in nats, without bias.

    A run of T steps ends at the limit plus noise, which adds about n / (K T) to the KL divergence.
    Two independent runs share the limit but not the noise. So to second order,
    `KL = 1/2 sum of p_i d_i d'_i` with their displacements d and d'. The estimate may be negative.
    """
    first, second = (converged(sample, probs, steps) for sample in pair)
    return float(np.sum(probs * first * second) / 2)


def learning(numbers: Sequence[int], seeds: int, steps: int) -> List[Dict[str, Any]]:
    """Runs the learning experiment for each number of samples and each seed."""
    rows = []
    pairs = tqdm(total=len(numbers) * seeds * 4, desc="learning", unit="pair", disable=None)
    for num_sampled in numbers:
        found: Dict[str, List[float]] = {}
        for seed in range(seeds):
            counts = true_counts(seed)
            one, two = (samples(num_sampled, counts, 2 * seed + run) for run in (1, 2))
            for name in one:
                kl = divergence((one[name], two[name]), counts / counts.sum(), steps)
                found.setdefault(name, []).append(kl)
                pairs.update()
        rows.append({"num_sampled": num_sampled, "kl": found})
    pairs.close()
    return rows


def demo(data: Path, output: Path, seeds: int, epochs: int) -> Dict[str, Dict[str, List[float]]]:
    """Measures recall and NDCG of the retrieval model by distribution, one value for each seed."""
    import train

    found: Dict[str, Dict[str, List[float]]] = {}
    for distribution in ("log_uniform", "empirical", "uniform"):
        for seed in range(seeds):
            arguments = ["--data", data, "--output", output / distribution, "--models", "retrieval"]
            arguments += ["--epochs", epochs, "--distribution", distribution, "--seed", seed]
            args = train.parse_args([str(argument) for argument in arguments])
            args.output.mkdir(parents=True, exist_ok=True)
            for metric, value in train.train(args)["retrieval"].items():
                found.setdefault(distribution, {}).setdefault(metric, []).append(value)
    return found


def mean_error(values: Sequence[float]) -> Tuple[float, float]:
    spread = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(np.mean(values)), float(spread)


def as_markdown(result: Dict[str, Any]) -> str:
    names = list(result["learning"][0]["kl"])
    lines = ["KL divergence from the truth, nats: mean (standard error)", ""]
    lines += ["| samples | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for row in result["learning"]:
        cells = ["{:.2g} ({:.1g})".format(*mean_error(row["kl"][name])) for name in names]
        lines.append(f"| {row['num_sampled']} | " + " | ".join(cells) + " |")
    if result["demo"]:
        lines += ["", "| distribution | recall@20 | ndcg@20 |", "|---|---|---|"]
        for distribution, metrics in result["demo"].items():
            cells = [
                "{:.4f} ({:.4f})".format(*mean_error(metrics[metric]))
                for metric in ("recall@20", "ndcg@20")
            ]
            lines.append(f"| {distribution} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def drawn(result: Dict[str, Any]) -> Any:
    """Draws the figure: the learning experiment, and the demo if it was run."""
    from matplotlib.figure import Figure  # not pyplot, which looks for a display

    panels = 2 if result["demo"] else 1
    figure = Figure(figsize=(5.6 * panels, 4.2))
    axes = figure.subplots(1, panels, squeeze=False)
    _plot_learning(axes[0, 0], result["learning"])
    if result["demo"]:
        _plot_demo(axes[0, 1], result["demo"])
    for axis in axes[0]:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure


def _plot_learning(axis: Any, rows: List[Dict[str, Any]]) -> None:
    numbers = [row["num_sampled"] for row in rows]
    for name, colour in zip(rows[0]["kl"], ("0.45", "#7570b3", "#d95f02", "#1b9e77")):
        style = "o-" if name.startswith("popsampler") else "s--"
        means, errors = zip(*(mean_error(row["kl"][name]) for row in rows))
        axis.errorbar(numbers, means, errors, fmt=style, color=colour, capsize=3, label=name)
    # An unbiased estimate may fall below zero: then only its error bar shows.
    axis.set_xscale("log")
    axis.set_yscale("log", nonpositive="clip")
    axis.set(xlabel="samples of a batch", ylabel="KL divergence from the truth, nats")
    axis.set_title(f"learning {ITEMS:,} known probabilities")
    axis.set_xticks(numbers, [str(number) for number in numbers])
    axis.minorticks_off()
    axis.legend(frameon=False, fontsize=9, loc="center right")


def _plot_demo(axis: Any, demo_: Dict[str, Dict[str, List[float]]]) -> None:
    for place, metrics in enumerate(demo_.values()):
        values = metrics["recall@20"]
        mean, error = mean_error(values)
        axis.plot([place] * len(values), values, "o", color="0.7", ms=4)
        axis.errorbar(place + 0.12, mean, error, fmt="o", color="#d95f02", capsize=4)
    axis.set_xticks(range(len(demo_)), [distribution.replace("_", "-") for distribution in demo_])
    axis.set(xlim=(-0.5, len(demo_) - 0.5), ylabel="recall@20 (dots: seeds)")
    axis.set_title("retrieval model of the demo")


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=local_path, required=True, help="folder for the results")
    add("--data", type=local_path, help="--output of preprocess.py; else learning alone")
    some = whole(1, ITEMS)
    add(
        "--num-sampled",
        type=some,
        nargs="+",
        default=[50, 100, 200],
        help="negatives [%(default)s]",
    )
    add("--seeds", type=whole(1), default=5, help="of the learning experiment [%(default)s]")
    add(
        "--steps",
        type=whole(1),
        default=25_000,
        help="training steps of each of two runs [%(default)s]",
    )
    add("--demo-seeds", type=whole(1), default=5, help="of the demo [%(default)s]")
    add("--epochs", type=whole(1), default=3, help="of each demo model [%(default)s]")
    args = parser.parse_args(argv)
    try:
        compare(args)
    except PopSamplerError as error:
        sys.exit(f"compare_distributions.py: {error}")


def compare(args: argparse.Namespace) -> None:
    """Runs the experiments, writes their results and prints them."""
    made(args.output)
    result: Dict[str, Any] = {
        "learning": learning(args.num_sampled, args.seeds, args.steps),
        "demo": {},
    }
    if args.data:
        result["demo"] = demo(args.data, args.output, args.demo_seeds, args.epochs)
    (args.output / "compare_distributions.json").write_text(json.dumps(result, indent=2) + "\n")
    (args.output / "compare_distributions.md").write_text(as_markdown(result) + "\n")
    drawn(result).savefig(args.output / "compare_distributions.png", dpi=130)
    print(as_markdown(result))


if __name__ == "__main__":
    main()
