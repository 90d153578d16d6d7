"""Compares the demo's models in two environments, over several seeds.

`make compare-demo` trains them with Merlin's own versions (.venv) and with today's (.venv-py313),
five seeds each, which takes an hour on two cores. The means of recall@20 must differ by at most
3 % or two standard errors. Existing results of a seed are read, not computed again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Dict, List, Sequence

ROOT = Path(__file__).parents[1]
MODELS = ("retrieval", "session", "two-tower")
MEASURE = "recall@20"


def run(python: Path, script: str, *arguments: str) -> None:
    """Runs a workflow of the checkout with an interpreter."""
    command = [str(python), str(ROOT / "workflows" / script), *arguments]
    subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 - ours


def trained(python: Path, folder: Path, seeds: Sequence[int]) -> Dict[str, List[float]]:
    """Returns the measure of each seed, by model."""
    data = folder / "data"
    if not (data / "preprocess.json").exists():
        run(python, "preprocess.py", "--output", str(data))
    found: Dict[str, List[float]] = {model: [] for model in MODELS}
    for seed in seeds:
        output = folder / f"seed{seed}"
        if not (output / "results.json").exists():
            where = ("--data", str(data), "--output", str(output))
            run(python, "train.py", *where, "--epochs", "1", "--seed", str(seed))
        results = json.loads((output / "results.json").read_text(encoding="utf-8"))
        for model in MODELS:
            found[model].append(results[model][MEASURE])
    return found


def compare(old: Sequence[float], new: Sequence[float]) -> Dict[str, float]:
    """Returns both means, their relative difference, and that difference in standard errors."""
    difference = mean(new) - mean(old)
    error = (stdev(old) ** 2 / len(old) + stdev(new) ** 2 / len(new)) ** 0.5
    return {
        "old": mean(old),
        "new": mean(new),
        "relative": difference / mean(old),
        "errors": difference / error if error else float("inf") if difference else 0.0,
    }


def main() -> int:
    """Prints and writes a row for each model; returns 1 if the means differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, help="an interpreter of Merlin's own versions")
    parser.add_argument("new", type=Path, help="an interpreter of today's versions")
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: 5, at least 2)")
    parser.add_argument("--output", type=Path, default=Path("out/compare_demo"))
    options = parser.parse_args()
    seeds = range(1, options.seeds + 1)
    old = trained(options.old, options.output / "old", seeds)
    new = trained(options.new, options.output / "new", seeds)
    table = [
        f"| model | {MEASURE}, own versions | today's | difference | standard errors |",
        "|---|---|---|---|---|",
    ]
    differ = False
    for model in MODELS:
        row = compare(old[model], new[model])
        differ |= abs(row["relative"]) > 0.03 and abs(row["errors"]) > 2
        table.append(
            f"| {model} | {row['old']:.4f} | {row['new']:.4f} | {row['relative']:+.1%} "
            f"| {row['errors']:+.1f} |"
        )
    print("\n".join(table))
    (options.output / "comparison.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
