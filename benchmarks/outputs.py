"""Times a training step with this package's output and with that of Merlin Models.

The same model, the same sampler, 1,000 samples, the whole step of Merlin's `train_step` with its
optimizer. Each output runs in a process of its own, for its peak memory, and both are asked in
turn, in an order that changes from round to round.

Prints the median ratio of the steps' times with its 95 % interval (bootstrap over rounds), and the
ratio of the peaks; writes outputs.json under `--output`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
from memory import peak
from versions import interval

ITEMS = 1_000_000
SAMPLES, BATCH, DIM, STEPS = 1_000, 512, 64, 20
OUTPUTS = ("merlin", "ours")


def built(which: str, items: int) -> Any:
    """Builds a compiled model whose inputs and output share one item table."""
    import merlin.models.tf as mm
    from merlin.schema import ColumnSchema, Schema, Tags

    from merlin_popsampler import PopularityBasedSampler
    from merlin_popsampler.distributions import Empirical, PopularityCurve
    from merlin_popsampler.tf.merlin_models import ContrastiveOutput

    def column(name: str, highest: int, *tags: Any) -> Any:
        domain = {"domain": {"min": 0, "max": highest, "name": name}}
        return ColumnSchema(name, [*tags, Tags.CATEGORICAL], domain, np.int64)

    distribution: Any = "log_uniform"
    if items == ITEMS:
        distribution = Empirical(PopularityCurve.from_counts(10**9 // np.arange(10, 10 + ITEMS)))
    sampler = PopularityBasedSampler(items + 2, 3, SAMPLES, seed=17, distribution=distribution)
    table = mm.EmbeddingTable(DIM, column("item", items + 2, Tags.ITEM_ID))
    outputs = {"merlin": mm.ContrastiveOutput, "ours": ContrastiveOutput}
    output = outputs[which](table, sampler, logq_sampling_correction=True)
    user = Schema([column("user", 9_999, Tags.USER_ID)])
    query = mm.Encoder(
        mm.InputBlockV2(user, categorical=mm.Embeddings(user, dim=DIM)),
        mm.MLPBlock([DIM], no_activation_last_layer=True),
    )
    model = mm.RetrievalModelV2(query=query, output=output)
    model.compile("sgd", metrics=[])
    return model


def serve(which: str, items: int) -> None:
    """Runs in the process of one output: times steps on each request."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore")
    import tensorflow as tf

    model = built(which, items)
    rng = np.random.default_rng(17)
    batches = (
        tf.data.Dataset.from_tensors(
            (
                {"user": rng.integers(0, 10_000, BATCH)},
                (3 + rng.random(BATCH) ** 3 * items).astype(np.int64),
            )
        )
        .cache()
        .repeat()
    )
    steps = iter(batches)
    function = model.make_train_function()
    model(next(steps)[0])
    function(steps)
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(STEPS):
            function(steps)["loss"].numpy()
        print((time.perf_counter() - began) / STEPS, peak(), flush=True)


class Process:
    """Starts a process that times the steps of one output."""

    def __init__(self, which: str, items: int) -> None:
        script = str(Path(__file__).resolve())
        command = [sys.executable, "-W", "ignore", script, "--serve", which, "--items", str(items)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe)  # noqa: S603 - ours
        self.questions: Any = self.process.stdin
        self.answers: Any = self.process.stdout
        self.answer()

    def answer(self) -> List[str]:
        line = self.answers.readline()
        if not line:
            sys.exit("The process of an output ended: see its message above.")
        return list(line.split())

    def measured(self) -> List[float]:
        """Returns the seconds of a step, and the peak memory of the process in MB."""
        print("go", file=self.questions, flush=True)
        return [float(number) for number in self.answer()]

    def close(self) -> None:
        self.questions.close()
        self.process.wait()


def measure(rounds: int, items: int) -> Dict[str, float]:
    processes = {which: Process(which, items) for which in OUTPUTS}
    seconds: Dict[str, List[float]] = {which: [] for which in OUTPUTS}
    peaks: Dict[str, float] = {}
    for round_ in range(rounds):
        for which in sorted(OUTPUTS, reverse=bool(round_ % 2)):
            spent, peaks[which] = processes[which].measured()
            seconds[which].append(spent)
    for process in processes.values():
        process.close()
    ratios = [mine / theirs for mine, theirs in zip(seconds["ours"], seconds["merlin"])]
    median, low, high = interval(ratios)
    return {
        "ratio": median,
        "low": low,
        "high": high,
        "merlin_ms": 1e3 * float(np.median(seconds["merlin"])),
        "ours_ms": 1e3 * float(np.median(seconds["ours"])),
        "peak_ratio": peaks["ours"] / peaks["merlin"],
        "peak_mb": peaks["ours"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--items", type=int, default=ITEMS, help="of the catalog [%(default)s]")
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--serve", choices=OUTPUTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.items)
        return
    row = measure(args.rounds, args.items)
    print(
        f"A step of {BATCH} rows and {SAMPLES:,} samples: {row['ours_ms']:.1f} ms against Merlin's "
        f"{row['merlin_ms']:.1f}, ratio {row['ratio']:.3f} ({row['low']:.3f} to {row['high']:.3f});"
        f" peak memory {row['peak_mb']:.0f} MB, ratio {row['peak_ratio']:.3f}"
    )
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "outputs.json").write_text(json.dumps(row, indent=2) + "\n")


if __name__ == "__main__":
    main()
