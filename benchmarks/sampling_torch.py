"""Times draws with expected counts in PyTorch, and the draws of two alternatives.

The alternatives are torch.multinomial and Transformers4Rec's algorithm. All draw K of n items, with
the expected counts of the draws and of 256 positives, in turns in one process. They run eagerly,
compiled, and on a GPU as a captured CUDA graph. A second section has construction time, memory and
state. Run it in the environment of PyTorch: `.venv-torch/bin/python benchmarks/sampling_torch.py`.
Writes sampling_torch.md and sampling_torch.json under `--output`.

Transformers4Rec's algorithm is implemented here from its description. It makes 2 K draws with
replacement from a table of the catalog's length. It makes them unique, which sorts them, and keeps
the first K. Their weights are from a second such table of 1 - (1 - p)^(2 K).
"""

import argparse
import json
import math
import statistics
import time
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List

import torch

from merlin_popsampler.torch import PopularityBasedSampler
from merlin_popsampler.torch.constants import Constants

POSITIVES = 256
CALLS = 10
"""Of a step in a turn."""
BASE = "multinomial, distinct"
Step = Callable[[], Any]


def log_uniform(size: int, device: str) -> torch.Tensor:
    """Returns the probabilities of one draw, float32 `[size]`."""
    ranks = torch.arange(size, dtype=torch.float64, device=device)
    return (torch.log1p(1.0 / (ranks + 1.0)) / math.log(size + 1.0)).float()


class Transformers4RecAlgorithm:
    """Draws as the log-uniform sampler of Transformers4Rec does."""

    def __init__(self, size: int, num_sampled: int, device: str) -> None:
        self.num_sampled = num_sampled
        self.dist = log_uniform(size, device)
        self.expected_counts = -torch.expm1(
            2 * num_sampled * torch.log1p(-self.dist.double())
        ).float()

    def __call__(self, labels: torch.Tensor) -> Any:
        drawn = torch.multinomial(self.dist, 2 * self.num_sampled, replacement=True)
        sampled = drawn.unique()[: self.num_sampled]
        return sampled, self.expected_counts[labels], self.expected_counts[sampled]


def ours(size: int, num_sampled: int, device: str) -> Any:
    return PopularityBasedSampler(size - 1, max_num_samples=num_sampled, seed=3).to(device)


def captured(step: Step) -> Step:
    """Captures a step as a CUDA graph, which is launched as a whole."""
    with torch.cuda.stream(torch.cuda.Stream()):
        step()  # the setup at a first call cannot be captured
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def replay() -> Step:
        graph.replay()
        return step  # the graph reads their buffers, so they must live as long as it does

    return replay


def steps_of(size: int, num_sampled: int, device: str) -> Dict[str, Step]:
    """Returns the alternatives by name; `torch.multinomial` only draws."""
    labels = torch.randint(0, size, (POSITIVES,), device=device)
    dist, theirs = log_uniform(size, device), Transformers4RecAlgorithm(size, num_sampled, device)
    sampler = ours(size, num_sampled, device)
    steps: Dict[str, Step] = {
        BASE: lambda: torch.multinomial(dist, num_sampled),
        "multinomial, repeated": lambda: torch.multinomial(dist, num_sampled, replacement=True),
        "Transformers4Rec's": lambda: theirs(labels),
        "ours, eager": lambda: sampler(labels),
    }
    if num_sampled == 1000:  # since each compilation is slow
        one_graph = torch.compile(ours(size, num_sampled, device), fullgraph=True)
        steps["ours, compiled"] = lambda: one_graph(labels)
    if device == "cuda":
        # In eager mode one kernel draws, if it has the algorithm; else these two are equal.
        by_operations = ours(size, num_sampled, device)
        by_operations._kernel.is_possible = False
        steps["ours, eager, without the kernel"] = lambda: by_operations(labels)
        steps["ours, captured"] = captured(partial(ours(size, num_sampled, device), labels))
    return steps


def finish() -> None:
    """Waits for what a GPU still has to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def race(steps: Dict[str, Step], rounds: int) -> Dict[str, Dict[str, float]]:
    """Times all steps in turns: median milliseconds of a call, and the ratio of `BASE` to it.

    A turn is several calls in a row. Otherwise each call would find its tables evicted from the
    processor's cache by the other steps.
    """
    for step in steps.values():
        step()
    times: Dict[str, List[float]] = {name: [] for name in steps}
    for round_ in range(rounds):
        for name in sorted(steps, reverse=bool(round_ % 2)):
            finish()
            began = time.perf_counter()
            for _ in range(CALLS):
                steps[name]()
            finish()
            times[name].append(1e3 * (time.perf_counter() - began) / CALLS)
    median = {name: statistics.median(found) for name, found in times.items()}
    return {name: {"ms": ms, "times faster": median[BASE] / ms} for name, ms in median.items()}


def drawing(sizes: List[int], samples: List[int], rounds: int, device: str) -> List[Dict[str, Any]]:
    rows = []
    for size in sizes:
        for num_sampled in samples:
            if 2 * num_sampled > size:
                continue
            found = race(steps_of(size, num_sampled, device), rounds)
            rows.append({"size": size, "num_sampled": num_sampled, "steps": found})
            print(f"K = {num_sampled:,} of {size:,}", found, flush=True)
    return rows


def constants_bytes(sampler: torch.nn.Module) -> int:
    """Returns the bytes that a sampler keeps on its device."""
    parts = (part for part in sampler.modules() if isinstance(part, Constants))
    return sum(array.nbytes for part in parts for array in part.arrays.values())


def construction(sizes: List[int], device: str) -> List[Dict[str, Any]]:
    """Measures constructions: median time of five, peak memory, and size of the state."""
    rows = []
    for size in sizes:
        row: Dict[str, Any] = {
            "size": size,
            "ours ms": milliseconds(partial(ours, size, 1000, device)),
        }
        tracemalloc.start()
        sampler = ours(size, 1000, device)
        row["ours peak MB"] = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        row["ours state bytes"] = constants_bytes(sampler)
        if size <= 10**7:
            build = partial(Transformers4RecAlgorithm, size, 1000, device)
            row["Transformers4Rec's ms"] = milliseconds(build)
        row["Transformers4Rec's state bytes"] = 2 * 4 * size
        rows.append(row)
        print(row, flush=True)
    return rows


def milliseconds(build: Step) -> float:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        build()
        finish()
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)


def as_markdown(found: Dict[str, List[Dict[str, Any]]]) -> str:
    every = (name for row in found["drawing"] for name in row["steps"])
    names = list(dict.fromkeys(every))
    lines = [
        f"Milliseconds of a draw; in brackets, how many fit into one of `{BASE}`.",
        "",
        "| items | K | " + " | ".join(names) + " |",
        "|---" * (2 + len(names)) + "|",
    ]
    for row in found["drawing"]:
        cells = [
            f"{row['steps'][name]['ms']:.2f} ({row['steps'][name]['times faster']:.0f})"
            if name in row["steps"]
            else "-"
            for name in names
        ]
        lines.append(f"| {row['size']:,} | {row['num_sampled']:,} | " + " | ".join(cells) + " |")
    lines += ["", "Construction, K = 1,000:", ""]
    for row in found["construction"]:
        lines.append("- " + ", ".join(f"{name}: {value:,.4g}" for name, value in row.items()))
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=Path, default=Path("out/benchmarks"), help="folder [%(default)s]")
    add("--sizes", type=int, nargs="+", default=[10**4, 10**5, 10**6, 10**7])
    add("--samples", type=int, nargs="+", default=[100, 1000, 10_000])
    add("--rounds", type=int, default=10, help="turns of each [%(default)s]")
    add("--device", default="cpu", help="cpu or cuda [%(default)s]")
    add("--threads", type=int, default=1, help="of PyTorch [%(default)s]")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = {
        "construction": construction([10**6, 10**9], args.device),
        "drawing": drawing(args.sizes, args.samples, args.rounds, args.device),
    }
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "sampling_torch.json").write_text(json.dumps(found, indent=1))
    (args.output / "sampling_torch.md").write_text(as_markdown(found))
    print(as_markdown(found))


if __name__ == "__main__":
    main()
