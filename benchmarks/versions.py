"""Drawing and pricing by two versions of the package, one after the other in many rounds.

  python benchmarks/versions.py --before ../the-checkout-before

Each version runs in a process of its own, from a checkout named by its folder (`--after` is this
one unless it is given), and both are asked in turn, in an order that changes from round to round,
so that whatever else the machine does falls on both. What is asked are methods of the sampler
alone, which versions share: `sample_ids` (draw) and `sampled_values` of 4,096 positives (draw and
price), some hundred calls in one graph.

Prints, for each law and number of samples, the median ratio of after to before with its 95 %
interval (bootstrap over rounds); writes versions.md and versions.json under `--output`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

ITEMS = 1_000_000
CASES = [
    (law, num_sampled, what)
    for law in ("log_uniform", "empirical")
    for num_sampled in (100, 1_000, 10_000, 100_000)
    for what in ("draw", "draw and price")
]


def steps_of_items() -> Any:
    """A falling staircase of 256 steps over the items."""
    from merlin_popsampler.laws import Steps

    starts = np.unique(np.geomspace(1, ITEMS, 256).astype(np.int64)) - 1
    heights = (10**9 // (starts + 10)).astype(np.int64)
    masses = heights * np.diff(starts, append=ITEMS)
    return Steps(starts, masses, ITEMS)


def serve() -> None:
    """In the process of one version: builds every case, and times those that it is asked for."""
    from timing import calls_for, checksum, loop  # isort: skip - it makes TensorFlow quiet

    import tensorflow as tf

    from merlin_popsampler import PopularityBasedSampler
    from merlin_popsampler.laws import Empirical

    laws: Dict[str, Any] = {
        "log_uniform": "log_uniform",
        "empirical": Empirical(steps_of_items()),
    }
    true_ids = tf.random.stateless_uniform([4096, 1], (1, 2), 3, ITEMS + 3, tf.int64)
    steps = []
    for law, num_sampled, what in CASES:
        sampler = PopularityBasedSampler(ITEMS + 2, 3, num_sampled, seed=17, law=laws[law])
        draw = {
            "draw": lambda _, s=sampler: checksum(s.sample_ids()),
            "draw and price": lambda _, s=sampler: checksum(*s.sampled_values(true_ids)),
        }[what]
        calls = calls_for(num_sampled)
        steps.append((loop(draw, calls, overlap=False), calls))
        steps[-1][0](tf.constant(0, tf.int64))
    print("ready", flush=True)
    for line in sys.stdin:
        step, calls = steps[int(line)]
        began = time.perf_counter()
        step(tf.constant(0, tf.int64)).numpy()
        print((time.perf_counter() - began) / calls, flush=True)


class Version:
    """A process that times the cases with the package of one checkout."""

    def __init__(self, checkout: Path) -> None:
        env = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
        command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), "--serve"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=env, text=True, stdin=pipe, stdout=pipe)  # noqa: S603 - ours
        self.questions: Any = self.process.stdin
        self.answers: Any = self.process.stdout
        self._answer()

    def seconds(self, case: int) -> float:
        print(case, file=self.questions, flush=True)
        return float(self._answer())

    def close(self) -> None:
        self.questions.close()
        self.process.wait()

    def _answer(self) -> str:
        line: str = self.answers.readline()
        if not line:
            sys.exit("A version's process ended: see its message above.")
        return line


def interval(ratios: List[float]) -> Tuple[float, float, float]:
    """Median, and the 95 % interval of the median by the bootstrap."""
    rng = np.random.default_rng(17)
    resampled = np.median(rng.choice(ratios, (4000, len(ratios))), axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(np.median(ratios)), float(low), float(high)


def measure(before: Path, after: Path, rounds: int) -> List[Dict[str, Any]]:
    versions = [Version(before), Version(after)]
    seconds = np.zeros((rounds, len(CASES), 2))
    for round_ in range(rounds):
        for case in range(len(CASES)):
            for which in (0, 1) if (round_ + case) % 2 else (1, 0):
                seconds[round_, case, which] = versions[which].seconds(case)
    for version in versions:
        version.close()
    rows = []
    for (law, num_sampled, what), times in zip(CASES, seconds.transpose(1, 0, 2)):
        median, low, high = interval((times[:, 1] / times[:, 0]).tolist())
        row = {"law": law, "samples": num_sampled, "what": what, "ratio": median}
        rows.append({**row, "low": low, "high": high, "before_us": 1e6 * np.median(times[:, 0])})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="checkout of the version before")
    parser.add_argument("--after", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve()
        return
    if args.before is None:
        print("Nothing to compare: name the checkout of another version with --before.")
        return
    rows = measure(args.before, args.after, args.rounds)
    lines = [
        "| law | samples | what | after / before | 95 % interval | before, us |",
        "|---" * 6 + "|",
    ]
    lines += [
        f"| {row['law']} | {row['samples']:,} | {row['what']} | {row['ratio']:.3f} "
        f"| {row['low']:.3f} to {row['high']:.3f} | {row['before_us']:.0f} |"
        for row in rows
    ]
    print("\n".join(lines))
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "versions.md").write_text("\n".join(lines) + "\n")
    (args.output / "versions.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
