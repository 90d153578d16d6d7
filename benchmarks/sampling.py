"""Times draws with expected counts, against TensorFlow's op and Merlin's samplers.

Sections: draws with expected counts at several sizes, in a plain graph and under XLA; the same with
4,096 positives, against both samplers of Merlin; construction time, memory and size of a
SavedModel; a whole training step. Writes sampling.md, sampling.json and sampling.png under
`--output`. On a machine with a GPU this package runs there, and TensorFlow's op on the CPU.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
import tracemalloc
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")

import numpy as np
import tensorflow as tf
from timing import calls_for, checksum, compiled, race

from merlin_popsampler.core.distributions import LogUniform
from merlin_popsampler.core.draws import make_draws
from merlin_popsampler.core.expected_counts import build_expected_counts
from merlin_popsampler.tf.expected_counts import expected_count
from merlin_popsampler.tf.ranks import draw_ranks
from merlin_popsampler.tf.sampler import PopularityBasedSampler

BATCH, DIM = 4096, 64
LIMITS = {100: (1.5, 2.0), 1000: (0.5, 0.8), 10_000: (0.42, 0.6), 100_000: (0.38, 0.5)}
Step = Callable[[tf.Tensor], tf.Tensor]


def tf_op(size: int, num_sampled: int) -> Step:
    def step(_: tf.Tensor) -> tf.Tensor:
        return checksum(*tf.random.log_uniform_candidate_sampler([[1]], 1, num_sampled, True, size))

    return step


def draw_step(size: int, num_sampled: int) -> Step:
    draws = make_draws(LogUniform(size), num_sampled)
    return lambda i: checksum(draw_ranks(draws, 3, i))


def expected_count_step(size: int, num_sampled: int) -> Step:
    distribution = LogUniform(size)
    draws = make_draws(distribution, num_sampled)
    table = build_expected_counts(distribution, num_sampled, unique=True)

    def step(i: tf.Tensor) -> tf.Tensor:
        ranks = draw_ranks(draws, 3, i)
        return checksum(ranks, expected_count(table, ranks))

    return step


def drawing(
    sizes: List[int], samples: List[int], rounds: int, overlap: bool
) -> List[Dict[str, Any]]:
    """Times draws alone, and with the expected count of each sampled id."""
    rows = []
    for size in sizes:
        for num_sampled in samples:
            if num_sampled >= size:
                continue
            steps = {"TensorFlow's op": tf_op(size, num_sampled)}
            steps["draw"] = draw_step(size, num_sampled)
            steps["draw and correct"] = expected_count_step(size, num_sampled)
            steps["draw, XLA"] = compiled(draw_step(size, num_sampled))
            found = race(steps, calls_for(num_sampled), rounds, "TensorFlow's op", overlap)
            rows.append({"size": size, "num_sampled": num_sampled, "steps": found})
            print(as_row(rows[-1]), flush=True)
    return rows


def merlin_samplers(size: int, num_sampled: int) -> Dict[str, Step]:
    """Returns steps of Merlin's two samplers: draws, and the correction of positives and sample."""
    from merlin.models.tf.blocks.sampling.cross_batch import PopularityBasedSampler as First
    from merlin.models.tf.outputs.sampling.base import Candidate
    from merlin.models.tf.outputs.sampling.popularity import PopularityBasedSamplerV2

    first = First(max_num_samples=num_sampled, max_id=size, min_id=0)
    second = PopularityBasedSamplerV2(max_num_samples=num_sampled, max_id=size, min_id=0)
    weights = tf.zeros([size + 1, 1])
    probs = first.get_distribution_probs()
    ids = positives(size)

    def first_step(_: tf.Tensor) -> tf.Tensor:
        sampled = first.sample(weights).metadata["item_id"]
        return checksum(sampled, tf.gather(probs, ids), tf.gather(probs, sampled))

    def second_step(_: tf.Tensor) -> tf.Tensor:
        sampled = second.with_sampling_probs(second.sample())
        with_counts = second.with_sampling_probs(Candidate(id=ids, metadata={}))
        return checksum(sampled.id, sampled.sampling_prob, with_counts.sampling_prob)

    return {"Merlin, ItemSampler": first_step, "Merlin, CandidateSampler": second_step}


def positives(size: int) -> tf.Tensor:
    rng = np.random.default_rng(17)
    ranks = np.exp(rng.random(BATCH) * np.log(size)).astype(np.int64) - 1
    return tf.constant(np.clip(ranks, 1, size - 2)[:, None])


def sampler_step(sampler: PopularityBasedSampler, ids: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    return checksum(*sampler.sampled_values(ids))


def against_merlin(samples: List[int], rounds: int, overlap: bool) -> List[Dict[str, Any]]:
    size, rows = 10**6, []
    for num_sampled in samples:
        sampler = PopularityBasedSampler(size - 1, max_num_samples=num_sampled, seed=3)
        ids = positives(size)
        steps = merlin_samplers(size, num_sampled)
        steps["ours"] = partial(sampler_step, sampler, ids)
        base = "Merlin, CandidateSampler"
        found = race(steps, calls_for(num_sampled), rounds, base, overlap)
        rows.append({"size": size, "num_sampled": num_sampled, "steps": found})
        print(as_row(rows[-1]), flush=True)
    return rows


def built(size: int) -> PopularityBasedSampler:
    return PopularityBasedSampler(size - 1, max_num_samples=1000, seed=3)


def construction(sizes: List[int], with_merlin: bool) -> List[Dict[str, Any]]:
    """Measures constructions: median time of five, peak memory, and size of the layer's state."""
    rows = []
    for size in sizes:
        ours = partial(built, size)
        row: Dict[str, Any] = {"size": size, "ours_ms": 1e3 * seconds(ours)}
        tracemalloc.start()
        sampler = ours()
        row["ours_peak_mb"] = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        row["ours_state_bytes"] = 4 * sampler._table.rows.size + 16
        if with_merlin and size <= 10**8:
            from merlin.models.tf.outputs.sampling.popularity import PopularityBasedSamplerV2

            theirs = partial(PopularityBasedSamplerV2, size, max_num_samples=1000)
            row["merlin_ms"] = 1e3 * seconds(theirs, repeats=5 if size < 10**8 else 1)
            row["merlin_state_bytes"] = int(np.prod(theirs().sampling_dist.shape)) * 4
        rows.append(row)
        print(row, flush=True)
    return rows


def seconds(build: Callable[[], Any], repeats: int = 5) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        build()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def saved_bytes(size: int) -> int:
    """Returns the size of a SavedModel that draws and corrects, in bytes."""

    module = tf.Module()
    module.sampler = built(size)
    signature = [tf.TensorSpec([None, 1], tf.int64)]
    module.values = tf.function(module.sampler.sampled_values, input_signature=signature)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def training_step(num_sampled: int, rounds: int) -> Dict[str, Any]:
    """Times a step of sampled softmax with SGD, with this sampler and with TensorFlow's op."""
    size = 10**5
    draws = make_draws(LogUniform(size), num_sampled)
    table = build_expected_counts(LogUniform(size), num_sampled, unique=True)
    items, users = (tf.Variable(tf.random.normal([size, DIM], stddev=0.1)) for _ in range(2))
    biases, ids = tf.zeros([size]), positives(size)

    def step_with(values: Callable[[tf.Tensor], Any]) -> Step:
        def step(i: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                rows = tf.gather(users, ids[:, 0])
                losses = tf.nn.sampled_softmax_loss(
                    items, biases, ids, rows, num_sampled, size, sampled_values=values(i)
                )
                loss = tf.reduce_mean(losses)
            for variable, gradient in zip((items, users), tape.gradient(loss, (items, users))):
                variable.scatter_sub(tf.IndexedSlices(0.01 * gradient.values, gradient.indices))
            return loss

        return step

    def ours(i: tf.Tensor) -> Any:
        ranks = draw_ranks(draws, 3, i)
        true_count = expected_count(table, ids)
        return ranks, true_count, expected_count(table, ranks)

    def theirs(_: tf.Tensor) -> Any:
        return tf.random.log_uniform_candidate_sampler(ids, 1, num_sampled, True, size)

    steps = {"TensorFlow's op": step_with(theirs), "ours": step_with(ours)}
    calls = max(2, 20_000 // num_sampled)
    found = race(steps, calls, rounds, "TensorFlow's op")
    return {"size": size, "num_sampled": num_sampled, "steps": found}


def as_row(row: Dict[str, Any]) -> str:
    cells = [
        f"{name} {step['ms']:.3f} ms, {step['ratio']:.2f} "
        f"({step['ratio_min']:.2f} to {step['ratio_max']:.2f})"
        for name, step in row["steps"].items()
    ]
    return f"| {row['size']:,} | {row['num_sampled']:,} | " + " | ".join(cells) + " |"


def as_table(rows: List[Dict[str, Any]]) -> List[str]:
    """Returns Markdown: milliseconds of the first step, and ratios to it with their range."""
    if not rows:
        return ["(not run)"]
    names = list(rows[0]["steps"])
    lines = [
        "| items | samples | " + " | ".join(f"{name}" for name in names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for row in rows:
        cells = [
            f"{step['ms']:.3f} ms; {step['ratio']:.2f} "
            f"({step['ratio_min']:.2f} to {step['ratio_max']:.2f})"
            for step in row["steps"].values()
        ]
        lines.append(f"| {row['size']:,} | {row['num_sampled']:,} | " + " | ".join(cells) + " |")
    return lines


def _is_race(rows: Any) -> bool:
    return isinstance(rows, list) and bool(rows) and "steps" in rows[0]


def plot(rows: List[Dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    sizes = sorted({row["size"] for row in rows})
    figure, axes = plt.subplots(1, len(sizes), figsize=(4.2 * len(sizes), 3.8), sharey=True)
    for axis, size in zip(np.atleast_1d(axes), sizes):
        mine = [row for row in rows if row["size"] == size]
        samples = [row["num_sampled"] for row in mine]
        axis.axhline(1.0, color="0.6", lw=1, label="TensorFlow's op")
        for name, colour in (
            ("draw", "#1b9e77"), ("draw and correct", "#d95f02"), ("draw, XLA", "#7570b3")
        ):  # fmt: skip
            steps = [row["steps"][name] for row in mine]
            middle = [step["ratio"] for step in steps]
            axis.plot(samples, middle, "o-", color=colour, label=name)
            low, high = ([step[key] for step in steps] for key in ("ratio_min", "ratio_max"))
            axis.fill_between(samples, low, high, color=colour, alpha=0.15, lw=0)
        axis.set(xscale="log", yscale="log", xlabel="samples of a batch", title=f"{size:,} items")
        axis.grid(alpha=0.3, which="both")
    np.atleast_1d(axes)[0].set_ylabel("time, as a multiple of TensorFlow's op")
    np.atleast_1d(axes)[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main(argv: Optional[List[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="one size, two rounds")
    args = parser.parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)
    sizes = [10**6] if args.quick else [10**4, 10**6, 10**8, 10**9]
    samples, rounds = [100, 1000, 10_000, 100_000], 2 if args.quick else args.rounds
    try:
        import merlin.models.tf  # noqa: F401

        skipped = ""
    except ImportError as error:
        skipped = f"Merlin Models does not import here ({error}): its samplers are left out."
        print(skipped)
    gpus = tf.config.list_logical_devices("GPU")
    result: Dict[str, Any] = {
        "tensorflow": tf.__version__,
        "device": f"GPU {gpus}" if gpus else f"CPU, {os.cpu_count()} cores",
        "drawing": drawing(sizes, samples, rounds, overlap=False),
        "drawing, calls overlapping": drawing(sizes, samples, rounds, overlap=True),
        "merlin": [] if skipped else against_merlin([1000, 10_000], rounds, overlap=False),
        "merlin, calls overlapping": []
        if skipped
        else against_merlin([1000, 10_000], rounds, overlap=True),
        "construction": construction([10**4, 10**6, 10**8, 10**9], not skipped),
        "saved_model_bytes": {str(size): saved_bytes(size) for size in (10**6, 10**9)},
        "training": [training_step(num_sampled, rounds) for num_sampled in (1000, 10_000)],
    }
    lines = [f"TensorFlow {result['tensorflow']}, {result['device']}. Median; ratio (range)."]
    for title in (key for key, rows in result.items() if _is_race(rows)):
        lines += ["", f"## {title}", "", *as_table(result[title])]
    lines += [
        "",
        "## construction",
        "",
        "| items | ours, ms | peak, MB | state, bytes | Merlin's |",
    ]
    lines += ["|---|---|---|---|---|"]
    for row in result["construction"]:
        theirs = "-"
        if "merlin_ms" in row:
            theirs = f"{row['merlin_ms']:.0f} ms, {row['merlin_state_bytes']:,} bytes"
        lines.append(
            f"| {row['size']:,} | {row['ours_ms']:.1f} | {row['ours_peak_mb']:.1f} | "
            f"{row['ours_state_bytes']:,} | {theirs} |"
        )
    lines += ["", f"SavedModel, bytes by items: {result['saved_model_bytes']}", skipped]
    (args.output / "sampling.md").write_text("\n".join(lines).rstrip() + "\n")
    (args.output / "sampling.json").write_text(json.dumps(result, indent=2) + "\n")
    plot(result["drawing"], args.output / "sampling.png")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
