"""Measures `id_map` between two fits of the same keys, against the time of the later fit.

Both periods have the same keys and other popularities, so that most ids change. Each step runs in a
process of its own, which reports its time and peak memory.

Prints the medians over the rounds, and the ratio of map to later fit with its range. Writes
id_maps.md and id_maps.json under `--output`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
from memory import peak
from report import publish
from scale import read, without_tensorflow, workflows, write_data

FIGURES = {"seconds": "seconds", "processor": "processor seconds", "peak_mb": "peak, MB"}


def fit(folder: Path, period: str) -> Dict[str, float]:
    """Fits a period, and saves the workflow."""
    workflow, _ = workflows("FrequencyCategorify", 1)
    dataset = read(str(folder / f"{period}.data"))
    found = clocked(lambda: workflow.fit(dataset))
    workflow.save(str(folder / f"{period}.fit"))
    return found


def map_ids(folder: Path) -> Dict[str, float]:
    """Maps the ids of the earlier fit to those of the later one."""
    from merlin_popsampler import id_map

    workflows("FrequencyCategorify", 1)  # so that imports are not measured
    maps: List[Any] = []
    earlier, later = (str(folder / f"{period}.fit") for period in ("earlier", "later"))
    found = clocked(lambda: maps.append(id_map(earlier, later)))
    ids = maps[0].new_ids
    if (ids < 0).any() or np.mean(ids == np.arange(len(ids))) > 0.5:
        sys.exit("Expected all keys in both fits, and another id for most of them.")
    return found


def clocked(action: Any) -> Dict[str, float]:
    wall, processor = time.perf_counter(), time.process_time()
    action()
    return {
        "seconds": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
        "peak_mb": peak(),
    }


def in_a_process(folder: Path, step: str) -> Dict[str, float]:
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 - itself
    found: Dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(kind: str, keys: int, rows: int, rounds: int) -> Dict[str, Any]:
    """Measures the later fit and the map in each round, and their ratios."""
    found: Dict[str, Any] = {step: {name: [] for name in FIGURES} for step in ("fit", "map")}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for seed, period in enumerate(("earlier", "later")):
            write_data(folder / f"{period}.data", kind, rows, keys, seed)
        in_a_process(folder, "earlier")
        for _ in range(rounds):
            for step, name in (("fit", "later"), ("map", "map")):
                for figure, value in in_a_process(folder, name).items():
                    found[step][figure].append(value)
    found["ratios"] = {
        figure: sorted(np.divide(found["map"][figure], found["fit"][figure]).tolist())
        for figure in FIGURES
    }
    return {"kind": kind, "keys": keys, "rows": rows, **found}


def table(results: List[Dict[str, Any]]) -> List[str]:
    lines = ["| keys | figure | fit | id_map | ratio (range) |", "|---|---|---|---|---|"]
    for row in results:
        for figure, title in FIGURES.items():
            fit_, map_ = (statistics.median(row[step][figure]) for step in ("fit", "map"))
            ratios = row["ratios"][figure]
            spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            lines.append(
                f"| {row['keys']:,} {row['kind']} | {title} | {fit_:.3g} | {map_:.3g} | {spread} |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=float, default=1e7)
    parser.add_argument("--rows", type=float, default=1.5e7, help="of each period")
    parser.add_argument("--kinds", nargs="+", default=["integers", "strings"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        without_tensorflow()
        warnings.simplefilter("ignore")
        folder, step = arguments.folder, arguments.step
        os.environ["SCALE_OUT"] = str(folder)
        print(json.dumps(map_ids(folder) if step == "map" else fit(folder, step)))
        return
    results = [
        measure(kind, int(arguments.keys), int(arguments.rows), arguments.rounds)
        for kind in arguments.kinds
    ]
    lines = table(results)
    publish(arguments.output, "id_maps", lines, results)


if __name__ == "__main__":
    main()
