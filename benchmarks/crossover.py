"""Measures from which catalog size a sampled loss trains faster than the full softmax.

For each size of the catalog and number of samples K it measures the seconds of a training step. It
also measures the seconds until the full softmax loss of held-out rows reaches a target, which is
the loss of the full softmax after `--steps` steps. Data are generated: half of the rows of a
context follow a popularity that all contexts share, half one of its own. Both losses train the same
tables by Adagrad, whose step on a sparse gradient equals that on the dense one. Run it in the
environment of PyTorch: `.venv-torch/bin/python benchmarks/crossover.py`. Writes crossover.md and
crossover.json under `--output`.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch

from merlin_popsampler.distributions import LogUniform
from merlin_popsampler.torch import AllItems, PopularityBasedSampler, SampledSoftmaxLoss

CONTEXTS, TEMPERATURE, RATE = 200, 0.1, 0.05
FULL = "full"
LIMIT = 3
"""A sampled loss gives up after this many times the seconds of the full softmax."""


class Data:
    """Draws contexts and items, int64 `[rows]` each; equal sizes give equal data."""

    def __init__(self, size: int) -> None:
        self.size, self.random = size, torch.Generator().manual_seed(17)
        probs = LogUniform(size).prob(torch.arange(size).numpy())
        self.cumulated = torch.from_numpy(probs).cumsum(0)
        # A factor and an offset for each context map popularity ranks to different items.
        self.orders = torch.randint(0, size, (2, CONTEXTS), generator=self.random)
        self.held_out = self.rows(1000)

    def rows(self, num: int) -> Tuple[torch.Tensor, torch.Tensor]:
        contexts = torch.randint(0, CONTEXTS, (num,), generator=self.random)
        uniforms = torch.rand(num, generator=self.random, dtype=torch.float64)
        ranks = torch.searchsorted(self.cumulated, uniforms).clamp(max=self.size - 1)
        multiples, offsets = self.orders[:, contexts]
        own = (ranks * (2 * multiples + 1) + offsets) % self.size
        return contexts, torch.where(torch.rand(num, generator=self.random) < 0.5, ranks, own)


class Training:
    """Trains one model by one loss; with `num_sampled=None` that is the full softmax."""

    def __init__(self, size: int, num_sampled: Optional[int], dim: int) -> None:
        torch.manual_seed(3)
        sparse = num_sampled is not None
        self.contexts = torch.nn.Embedding(CONTEXTS, dim, sparse=sparse)
        self.items = torch.nn.Embedding(size, dim, sparse=sparse)
        for table in (self.contexts, self.items):
            torch.nn.init.normal_(table.weight, std=dim**-0.5 / 10)
        if num_sampled is None:
            negatives: Any = AllItems(size - 1)
        else:
            counts = torch.bincount(Data(size).rows(100 * size)[1], minlength=size)
            settings: Any = {"max_num_samples": num_sampled, "seed": 17}
            # An item that was never seen is counted once, so that every positive has a loss.
            negatives = PopularityBasedSampler.from_counts(counts.clamp(min=1).numpy(), **settings)
        self.loss = SampledSoftmaxLoss(negatives, TEMPERATURE)
        tables = [self.contexts.weight, self.items.weight]
        self.optimizer = torch.optim.Adagrad(tables, lr=RATE)

    def step(self, contexts: torch.Tensor, ids: torch.Tensor) -> float:
        """Trains on a batch, and returns its seconds."""
        began = time.perf_counter()
        self.optimizer.zero_grad()
        self.loss(self.contexts(contexts), ids, self.items).backward()
        self.optimizer.step()
        return time.perf_counter() - began

    def full_loss(self, contexts: torch.Tensor, ids: torch.Tensor) -> float:
        with torch.no_grad():
            losses = self.loss.evaluate(self.contexts(contexts), ids, self.items)[0]
            return float(losses.mean())


def train(
    training: Training, size: int, rows: int, steps: int, until: Optional[float], limit: float
) -> Dict[str, Any]:
    """Trains for some steps, or until a full loss or a limit of seconds is reached.

    The time to generate data and to compute the full loss is not counted.
    """
    data = Data(size)
    times: List[float] = []
    found: List[Tuple[float, float]] = []
    training.step(*data.rows(rows))  # excludes one-time setup from the timing
    while len(times) < steps if until is None else sum(times) < limit or not found:
        times.append(training.step(*data.rows(rows)))
        if len(times) % max(steps // 20, 1) == 0:
            found.append((sum(times), training.full_loss(*data.held_out)))
            if until is not None and found[-1][1] <= until:
                break
    reached = until is None or found[-1][1] <= until
    return {
        "step": statistics.median(times),
        "full loss": found[-1][1],
        "seconds": found[-1][0] if reached else None,
        "curve": found,
    }


def measure(size: int, samples: List[int], args: argparse.Namespace) -> Dict[str, Any]:
    """Measures the full softmax, and the sampled loss for each K."""
    full = train(Training(size, None, args.dim), size, args.rows, args.steps, None, 0.0)
    row: Dict[str, Any] = {"size": size, FULL: full}
    for num in samples:
        if num < size:
            goal, limit = full["full loss"], LIMIT * full["seconds"]
            training = Training(size, num, args.dim)
            row[f"K = {num:,}"] = train(training, size, args.rows, args.steps, goal, limit)
    return row


def crossover(rows: List[Dict[str, Any]], name: str, measured: str) -> Optional[int]:
    """Returns the smallest size from which on the sampled loss takes less time."""
    smallest = None
    for row in sorted(rows, key=lambda row: -int(row["size"])):
        value = row.get(name, {}).get(measured)
        if value is None or value >= row[FULL][measured]:
            break
        smallest = int(row["size"])
    return smallest


def as_markdown(rows: List[Dict[str, Any]]) -> str:
    names = [FULL, *dict.fromkeys(name for row in rows for name in row if name.startswith("K ="))]
    lines = [
        "| items | " + " | ".join(f"{n}: ms a step | {n}: s to the loss" for n in names) + " |"
    ]
    lines.append("|---" * (1 + 2 * len(names)) + "|")
    for row in rows:
        cells = []
        for name in names:
            found = row.get(name)
            seconds = found and found["seconds"]
            cells += [
                f"{1e3 * found['step']:.2f}" if found else "-",
                f"{seconds:.2f}" if seconds is not None else "not reached" if found else "-",
            ]
        lines.append(f"| {row['size']:,} | " + " | ".join(cells) + " |")
    lines.append("")
    for name in names[1:]:
        by_step, by_loss = (crossover(rows, name, measured) for measured in ("step", "seconds"))
        said = [f"{size:,} items" if size else "no size measured" for size in (by_step, by_loss)]
        lines.append(f"- {name} pays from {said[0]} by the step, from {said[1]} by the loss.")
    return "\n".join(lines) + "\n"


def main(argv: Optional[List[str]] = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=Path, default=Path("out/benchmarks"), help="folder [%(default)s]")
    add("--sizes", type=int, nargs="+", default=[300, 1000, 3000, 10_000, 30_000])
    add("--samples", type=int, nargs="+", default=[100, 1000])
    add("--rows", type=int, default=256, help="of a batch [%(default)s]")
    add("--dim", type=int, default=64, help="width of the vectors [%(default)s]")
    add("--steps", type=int, default=400, help="of the full softmax [%(default)s]")
    add("--threads", type=int, default=2, help="of PyTorch [%(default)s]")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    rows = []
    for size in args.sizes:
        rows.append(measure(size, args.samples, args))
        print(as_markdown(rows[-1:]), flush=True)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "crossover.json").write_text(json.dumps(rows, indent=1) + "\n")
    (args.output / "crossover.md").write_text(as_markdown(rows))
    print(as_markdown(rows))


if __name__ == "__main__":
    main()
