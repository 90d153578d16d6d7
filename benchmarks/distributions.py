"""Times the draws of each distribution, TensorFlow's unigram op and NumPy's choice.

Catalogs have 1e4, 1e6 and 1e8 items, and draws are with replacement and unique. Counts follow
Zipf's law with exponent 1.1. The empirical distribution has 256 steps of them. The alternatives
have a table of the catalog's length, and are left out at 1e8. Also reports construction time and
size of state. Writes distributions.md and distributions.json under `--output`.
"""

import argparse
import os
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")

import numpy as np
import tensorflow as tf
from report import publish
from timing import calls_for, checksum, race

from merlin_popsampler.core.draws import Draws, make_draws
from merlin_popsampler.core.expected_counts import ExpectedCounts, build_expected_counts
from merlin_popsampler.distributions import (
    Empirical,
    LogUniform,
    PopularityCurve,
    Uniform,
)
from merlin_popsampler.tf.expected_counts import expected_count
from merlin_popsampler.tf.ranks import draw_ranks

OP = "TensorFlow's unigram op"
Step = Callable[[tf.Tensor], tf.Tensor]
TABLE_LIMIT = 10**7
"""Largest catalog for alternatives that need a table of its length."""


def zipf_counts(size: int) -> Any:
    ranks = np.arange(1, size + 1, dtype=np.float64)
    return np.maximum(1e3 * size / 10 * ranks**-1.1, 1.0).astype(np.int64)


def draw(draws: Draws, position: tf.Tensor) -> tf.Tensor:
    return checksum(draw_ranks(draws, 3, position))


def draw_with_counts(draws: Draws, table: ExpectedCounts, position: tf.Tensor) -> tf.Tensor:
    ranks = draw_ranks(draws, 3, position)
    return checksum(ranks, expected_count(table, ranks))


def unigram(counts: Any, num_sampled: int, unique: bool, _: tf.Tensor) -> tf.Tensor:
    sampled = tf.random.fixed_unigram_candidate_sampler(
        [[0]], 1, num_sampled, unique, len(counts), unigrams=[float(count) for count in counts]
    )
    return checksum(*sampled)


def numpy_ms(counts: Any, num_sampled: int, unique: bool) -> float:
    """Returns the median time of five calls of Generator.choice, in ms."""
    rng, probs = np.random.default_rng(17), counts / counts.sum()
    times = []
    for _ in range(5):
        began = time.perf_counter()
        rng.choice(len(probs), num_sampled, replace=not unique, p=probs)
        times.append(time.perf_counter() - began)
    return 1e3 * sorted(times)[2]


def state_bytes(step: Step) -> int:
    """Returns the bytes of all constants in a traced step and its inner functions."""
    graph = tf.function(step).get_concrete_function(tf.TensorSpec([], tf.int64)).graph
    definition = graph.as_graph_def()
    nodes = [*definition.node]
    for function in definition.library.function:
        nodes += function.node_def
    constants = (tf.make_ndarray(n.attr["value"].tensor) for n in nodes if n.op == "Const")
    unigrams = sum(len(node.attr["unigrams"].list.f) for node in nodes)
    return sum(int(value.nbytes) for value in constants) + 4 * unigrams


def compare(size: int, num_sampled: int, unique: bool, rounds: int) -> Dict[str, Any]:
    counts = zipf_counts(size)
    began = time.perf_counter()
    steps = PopularityCurve.from_counts(counts)
    distribution = Empirical(steps)
    draws = make_draws(distribution, num_sampled, unique)
    table = build_expected_counts(distribution, num_sampled, unique)
    built = 1e3 * (time.perf_counter() - began)
    distributions = {
        "empirical": distribution,
        "log-uniform": LogUniform(size),
        "uniform": Uniform(size),
    }
    timed = {
        name: partial(draw, make_draws(distribution, num_sampled, unique))
        for name, distribution in distributions.items()
    }
    small = size <= TABLE_LIMIT
    if small:
        timed[OP] = partial(unigram, counts, num_sampled, unique)
    found = race(timed, calls_for(num_sampled), rounds, OP if small else "empirical")
    return {
        "size": size,
        "num_sampled": num_sampled,
        "unique": unique,
        "draws_per_s": {name: 1e3 * num_sampled / row["ms"] for name, row in found.items()},
        "ratio": found["empirical"]["ratio"] if small else None,
        "ratio_range": [found["empirical"][key] for key in ("ratio_min", "ratio_max")],
        "numpy_draws_per_s": 1e3 * num_sampled / numpy_ms(counts, num_sampled, unique)
        if small
        else None,
        "construction_ms": built,
        "state_bytes": state_bytes(partial(draw_with_counts, draws, table)),
        "op_state_bytes": state_bytes(timed[OP]) if small else None,
    }


def as_table(rows: List[Dict[str, Any]]) -> List[str]:
    names = ["empirical", "log-uniform", "uniform", OP]
    head = ["items", "samples", "unique", *names, "NumPy", "ratio", "built, ms", "state, B"]
    head += ["the op's, B"]
    lines = [
        "Millions of draws a second; ratio of the empirical's time to the op's (range).",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    for row in rows:
        speeds = [row["draws_per_s"].get(name) for name in names] + [row["numpy_draws_per_s"]]
        shown = " | ".join("-" if speed is None else f"{speed / 1e6:.2f}" for speed in speeds)
        low, high = row["ratio_range"]
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})"
        lines.append(
            f"| {row['size']:,} | {row['num_sampled']:,} | {row['unique']} | {shown} | {ratio} | "
            f"{row['construction_ms']:.0f} | {row['state_bytes']:,} | "
            + ("- |" if row["op_state_bytes"] is None else f"{row['op_state_bytes']:,} |")
        )
    return lines


def main(argv: Optional[List[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one size, two rounds")
    args = parser.parse_args(argv)
    rows = [
        compare(size, num_sampled, unique, 2 if args.quick else args.rounds)
        for size in ([10**6] if args.quick else [10**4, 10**6, 10**8])
        for num_sampled in (1000, 10_000)
        if num_sampled < size
        for unique in (False, True)
    ]
    lines = as_table(rows)
    publish(args.output, "distributions", lines, rows)


if __name__ == "__main__":
    main()
