"""Times FrequencyCategorify, polars, and an operator that does nothing, in turns.

Keys are integers, or strings of ten digits, drawn from a Zipf distribution, in Parquet files of a
million rows. Each measurement runs in a process of its own, which fits, then encodes and writes all
rows. polars does the same with `group_by`, `sort` and `join`, if it is installed (`pip install
polars`). The operator that does nothing shows the time that Merlin takes to read, copy and write.
`--before` names a checkout of an earlier version.

Processor time counts all threads. It is the figure to use on a machine that does other work.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
from memory import peak
from report import publish

CHUNK = 1_000_000
FIGURES = {
    "fit_s": "fit, s",
    "fit_cpu_s": "fit, processor s",
    "fit_mb": "peak in fit, MB",
    "write_s": "transform and write, s",
    "write_cpu_s": "transform and write, processor s",
    "write_mb": "peak, MB",
}


def write_data(folder: Path, kind: str, rows: int, items: int, seed: int) -> None:
    """Writes Parquet files without pandas' own metadata, as most programs do."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    for part, start in enumerate(range(0, rows, CHUNK)):
        rng = np.random.default_rng((seed, part))
        ranks = np.exp(rng.random(min(CHUNK, rows - start)) * np.log(items)).astype(np.int64) - 1
        keys = pa.array(ranks * 7_368_787 % 10**10)  # a prime, so that each rank has a distinct key
        if kind == "strings":
            keys = pa.array(np.char.zfill(keys.to_numpy().astype(str), 10).astype(object))
        pq.write_table(pa.table({"item": keys}), folder / f"part.{part:05d}.parquet")


def measure(engine: str, data: str, out: str) -> Dict[str, float]:
    """Measures one engine on one data set; run it in a process of its own."""
    steps = polars(data, out) if engine == "polars" else merlin(engine, data, out)
    found = {}
    for name, step in zip(("fit", "write"), steps):
        began, began_cpu = time.perf_counter(), time.process_time()
        step()
        found[f"{name}_s"] = time.perf_counter() - began
        found[f"{name}_cpu_s"] = time.process_time() - began_cpu
        found[f"{name}_mb"] = peak()
    return found


def polars(data: str, out: str) -> List[Callable[[], Any]]:
    import polars as pl  # type: ignore[import-not-found]  # in no environment of this project

    def fit() -> None:
        counts = pl.scan_parquet(f"{data}/*.parquet").group_by("item").len()
        ordered = counts.sort(["len", "item"], descending=[True, False])
        ordered.with_row_index("id", 3).sink_parquet(f"{out}/unique.parquet")

    def write() -> None:
        keys = pl.scan_parquet(f"{out}/unique.parquet").select("item", "id")
        rows = pl.scan_parquet(f"{data}/*.parquet")
        rows = rows.join(keys, on="item", how="left", maintain_order="left")
        rows.select(pl.col("id").cast(pl.Int64).fill_null(2)).sink_parquet(f"{out}/rows.parquet")

    return [fit, write]


def merlin(engine: str, data: str, out: str) -> List[Callable[[], Any]]:
    from merlin_popsampler import compat

    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # Merlin imports it if it is there
    compat.enable()
    import dask
    import nvtabular as nvt
    from merlin.io import Dataset
    from nvtabular.ops.stat_operator import StatOperator

    from merlin_popsampler import FrequencyCategorify

    class Nothing(StatOperator):  # type: ignore[misc]
        """Returns each partition unchanged."""

        def fit(self, col_selector: Any, ddf: Any) -> Any:  # noqa: ARG002
            return dask.delayed(sum)([dask.delayed(len)(part) for part in ddf.to_delayed()])

        def fit_finalize(self, stats: Any) -> None:
            pass

        def clear(self) -> None:
            pass

        def transform(self, col_selector: Any, df: Any) -> Any:  # noqa: ARG002
            return df

    operator = Nothing() if engine == "nothing" else FrequencyCategorify(out_path=out)
    workflow = nvt.Workflow(["item"] >> operator)
    dataset = Dataset(data, engine="parquet", cpu=True)
    return [
        lambda: workflow.fit(dataset),
        lambda: workflow.transform(dataset).to_parquet(f"{out}/rows"),
    ]


def in_a_process(engine: str, data: Path, path: str) -> Dict[str, float]:
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, __file__, "--run", json.dumps([engine, str(data), out])]
        env = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(  # noqa: S603 - itself
            command, env=env, stdout=subprocess.PIPE, check=True
        )
    found: Dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(kind: str, arguments: argparse.Namespace) -> Dict[str, Any]:
    """Measures all engines in every round."""
    here = str(Path(__file__).resolve().parent.parent)
    engines = {"ours": here, "nothing": here}
    if find_spec("polars"):
        engines["polars"] = here
    if arguments.before:
        engines["before"] = arguments.before
    found: Dict[str, List[Dict[str, float]]] = {engine: [] for engine in engines}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_data(data, kind, arguments.rows, arguments.items, arguments.seed)
        for number in range(arguments.rounds):
            for engine in sorted(engines, reverse=bool(number % 2)):
                found[engine].append(in_a_process(engine, data, engines[engine]))
    return {"kind": kind, "rows": arguments.rows, "items": arguments.items, **found}


def table(result: Dict[str, Any]) -> List[str]:
    """Returns medians, and ratios of FrequencyCategorify to the rest by round, with their range."""
    rest = [name for name in ("polars", "nothing", "before") if name in result]
    lines = [
        f"\n{result['kind']}, {result['rows']:,} rows of {result['items']:,} items\n",
        "| figure | ours | " + " | ".join(f"{name} | ratio (range)" for name in rest) + " |",
        "|---" * (2 + 2 * len(rest)) + "|",
    ]
    for figure, title in FIGURES.items():
        ours = [found[figure] for found in result["ours"]]
        cells = [title, f"{statistics.median(ours):.3g}"]
        for name in rest:
            others = [found[figure] for found in result[name]]
            ratios = [one / other for one, other in zip(ours, others)]
            spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
            ratio = f"{statistics.median(ratios):.2f} {spread}"
            cells += [f"{statistics.median(others):.3g}", ratio]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000, help="10000000 for figures to quote")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", default=["integers", "strings"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", metavar="CHECKOUT", help="an earlier version to compare with")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(measure(*json.loads(arguments.run))))
        return
    results = [compare(kind, arguments) for kind in arguments.kinds]
    lines = [line for result in results for line in table(result)]
    publish(arguments.output, "vocabulary", lines, results)


if __name__ == "__main__":
    main()
