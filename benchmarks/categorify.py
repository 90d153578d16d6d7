"""Times a fit of FrequencyCategorify and of NVTabular's Categorify, in turns in one process.

Integer and string keys follow Zipf's law over a catalog, in Parquet files. Each round fits
both, in alternating order; the ratio is taken within the round, so that other load on the machine
affects both. Every fit of FrequencyCategorify writes into the schema how well each distribution
fits. This report is timed separately, on the same counts.
"""

import argparse
import gc
import os
import shutil
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Dict, List

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import nvtabular as nvt
import pandas as pd
from merlin.io import Dataset
from report import publish

from merlin_popsampler import FrequencyCategorify
from merlin_popsampler.core.distributions import LogUniform, distance

ENCODERS = {"Categorify": nvt.ops.Categorify, "FrequencyCategorify": FrequencyCategorify}
LIMITS = {"integers": 0.6, "strings": 0.4}


def write_data(folder: Path, rows: int, items: int, seed: int) -> None:
    """Writes Parquet with both types of keys; every item occurs, so vocabularies have full size."""
    rng = np.random.default_rng(seed)
    ranks = np.exp(rng.random(rows) * np.log(items)).astype(np.int64) - 1
    ranks[rng.choice(rows, min(items, rows), replace=False)] = np.arange(min(items, rows))
    keys = rng.permutation(items)[ranks] * 7 + 11
    folder.mkdir(parents=True, exist_ok=True)
    for part, chunk in enumerate(np.array_split(keys, 4)):
        words = np.char.add("item-", chunk.astype(str)).astype(object)
        frame = pd.DataFrame({"integers": chunk, "strings": words})
        frame.to_parquet(folder / f"part.{part}.parquet", row_group_size=len(frame))


def seconds_of_fit(name: str, kind: str, data: Path) -> float:
    """Returns the wall time of one fit, including all files that it writes."""
    out = tempfile.mkdtemp()
    dataset = Dataset(str(data), engine="parquet")
    workflow = nvt.Workflow([kind] >> ENCODERS[name](out_path=out))
    gc.collect()
    began = time.perf_counter()
    workflow.fit(dataset)
    seconds = time.perf_counter() - began
    shutil.rmtree(out)
    return seconds


def seconds_of_report(kind: str, data: Path) -> float:
    """Returns the median time of computing both distributions' distances from the counts."""
    with tempfile.TemporaryDirectory() as out:
        encoder = FrequencyCategorify(out_path=out)
        nvt.Workflow([kind] >> encoder).fit(Dataset(str(data), engine="parquet"))
        metadata = encoder.fits[kind].metadata
        counts = pd.read_parquet(f"{out}/categories/popularity.{kind}.parquet")["count"]
    counts = counts.to_numpy()[metadata.min_id :]
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        for distribution in (LogUniform(len(counts)), metadata.distribution()):
            distance(distribution, counts)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def compare(kind: str, data: Path, rounds: int) -> Dict[str, object]:
    seconds: Dict[str, List[float]] = {name: [] for name in ENCODERS}
    for name in ENCODERS:  # the first fit of each includes imports and a cold disk cache
        seconds_of_fit(name, kind, data)
    for round_ in range(rounds):
        for name in sorted(ENCODERS, reverse=bool(round_ % 2)):
            seconds[name].append(seconds_of_fit(name, kind, data))
    ratios = [
        mine / stock for mine, stock in zip(seconds["FrequencyCategorify"], seconds["Categorify"])
    ]
    ours = statistics.median(seconds["FrequencyCategorify"])
    return {
        "keys": kind,
        "Categorify_s": statistics.median(seconds["Categorify"]),
        "FrequencyCategorify_s": ours,
        "report_share": seconds_of_report(kind, data) / ours,
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "limit": LIMITS[kind],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_data(data, arguments.rows, arguments.items, arguments.seed)
        results = [compare(kind, data, arguments.rounds) for kind in LIMITS]
    lines = [
        f"{arguments.rows:,} rows, {arguments.items:,} items, {arguments.rounds} rounds, medians",
        "",
        "| keys | Categorify, s | FrequencyCategorify, s | ratio (range) | at most | report |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['keys']} | {row['Categorify_s']:.2f} | {row['FrequencyCategorify_s']:.2f} | "
        f"{row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f}) | {row['limit']} | "
        f"{row['report_share']:.1%} |"
        for row in results
    ]
    publish(arguments.output, "categorify", lines, results)


if __name__ == "__main__":
    main()
