"""Measures fit and transform of FrequencyCategorify and Categorify, from a million rows up.

Keys follow Zipf's law over a catalog, with separate files for each type of key. Every measurement
runs in a process of its own, which reports its peak memory. The encoders take turns, and ratios are
within a turn. A process fits a workflow and transforms all data by partition, then half a million
rows. After a first request it transforms one row, 64 rows, and one row in each of eight threads. An
operator that does nothing is measured in the same way. `--cluster` compares the peaks of the
workers of a LocalCluster with the vocabulary in one part and in eight.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy as np
from memory import peak
from report import publish

CHUNK = 1_000_000
WORKERS = 4
KEY_BITS = 40
PATIENCE = 60
"""Seconds after which a slow operator gets no more requests."""
ENCODERS = ("Categorify", "FrequencyCategorify")
FIGURES = {
    "fit_s": "fit, s",
    "fit_mb": "peak in fit, MB",
    "whole_s": "transform, s",
    "whole_mb": "peak, MB",
    "half_s": "500,000 rows, s",
    "row_ms": "one row, ms",
    "rows64_ms": "64 rows, ms",
    "threads_ms": "a row each in 8 threads, ms",
}


def write_data(folder: Path, kind: str, rows: int, items: int, seed: int) -> None:
    """Writes Parquet files of up to a million rows; every item occurs if there are enough rows."""
    import pandas as pd

    folder.mkdir(parents=True)
    for part, start in enumerate(range(0, rows, CHUNK)):
        rng = np.random.default_rng((seed, part))
        size = min(CHUNK, rows - start)
        ranks = np.exp(rng.random(size) * np.log(items)).astype(np.int64) - 1
        once = np.arange(start * items // rows, (start + size) * items // rows)[:size]
        ranks[rng.choice(size, len(once), replace=False)] = once
        keys: Any = keys_of(ranks)
        if kind == "strings":
            keys = np.char.add("item-", keys.astype(str)).astype(object)
        pd.DataFrame({"item": keys}).to_parquet(folder / f"part.{part:05d}.parquet")


def keys_of(ranks: Any) -> Any:
    """Returns a distinct integer below 2**40 for each rank, in no order."""
    scattered = ranks.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (scattered % np.uint64(2**KEY_BITS)).astype(np.int64)


def measure(encoder: str, data: str, split_out: int) -> Dict[str, float]:
    """Measures one encoder on one data set; run it in a process of its own."""
    found = {"idle_mb": peak()}
    workflow, nothing = workflows(encoder, split_out)
    dataset = read(data)
    found["fit_s"] = seconds(lambda: workflow.fit(dataset))
    found["fit_mb"] = peak()
    parts = workflow.transform(dataset).to_ddf().to_delayed()
    found["whole_s"] = seconds(lambda: [len(part.compute()) for part in parts])
    found["whole_mb"] = peak()

    frame = dataset.to_ddf().get_partition(0).compute().reset_index(drop=True)
    half = frame.iloc[: CHUNK // 2]
    found["half_s"] = statistics.median(seconds(lambda: workflow.transform(half)) for _ in "123")
    nothing.fit(read(data))
    for name, made in (("", workflow), ("nothing_", nothing)):
        found[f"{name}row_ms"] = in_turn(made, frame.iloc[:1])
        found[f"{name}rows64_ms"] = in_turn(made, frame.iloc[:64])
        found[f"{name}threads_ms"] = at_once(made, frame)
    return found


def measure_cluster(data: str, split_out: int) -> Dict[str, float]:
    """Measures the highest peak above idle among the workers of a cluster, by fit and transform."""
    import dask
    from distributed import Client, LocalCluster

    # Workers get the setting by their environment.
    dask.config.set({"merlin_popsampler.index-memory": 0})
    found = {}
    for figure in ("fit", "transform"):
        workflow, _ = workflows("FrequencyCategorify", split_out)
        if figure == "transform":
            workflow.fit(read(data))
        cluster = LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, memory_limit=0, dashboard_address=None
        )
        with cluster, Client(cluster) as client:
            client.run(without_tensorflow)
            client.run(workflows, "FrequencyCategorify", 1)  # so that imports are not measured
            idle = client.run(peak)
            if figure == "fit":
                workflow.fit(read(data))
            else:
                transformed = workflow.transform(read(data)).to_ddf()
                transformed.map_partitions(len, meta=(None, "int64")).compute()
            above = [mb - idle[worker] for worker, mb in client.run(peak).items()]
        found[f"{figure}_mb"] = max(above)
    return found


def workflows(encoder: str, split_out: int) -> Any:
    """Returns a workflow that encodes, and one that does nothing."""
    import nvtabular as nvt

    from merlin_popsampler import FrequencyCategorify

    kind = FrequencyCategorify if encoder == "FrequencyCategorify" else nvt.ops.Categorify
    operator = kind(out_path=tempfile.mkdtemp(dir=os.environ["SCALE_OUT"]), split_out=split_out)
    return nvt.Workflow(["item"] >> operator), nvt.Workflow(["item"] >> nvt.ops.Operator())


def read(data: str) -> Any:
    from merlin.io import Dataset

    return Dataset(data, engine="parquet", cpu=True)


def without_tensorflow() -> None:
    """Hides TensorFlow, which Merlin imports if it is installed; no encoder needs it."""
    sys.modules["tensorflow"] = None  # type: ignore[assignment]


def in_turn(workflow: Any, frame: Any) -> float:
    """Returns the median milliseconds of a transform, after a first one."""
    workflow.transform(frame)
    end = time.perf_counter() + PATIENCE
    taken: List[float] = []
    while not taken or (len(taken) < 40 and time.perf_counter() < end):
        taken.append(seconds(lambda: workflow.transform(frame)))
    return 1e3 * statistics.median(taken)


def at_once(workflow: Any, frame: Any) -> float:
    """Returns the milliseconds of a row while eight threads request rows."""
    end = time.perf_counter() + PATIENCE

    def ask(thread: int) -> int:
        asked = 0
        for row in range(thread, len(frame), max(1, len(frame) // 25)):
            workflow.transform(frame.iloc[row : row + 1])
            asked += 1
            if time.perf_counter() > end:
                break
        return asked

    began = time.perf_counter()
    with ThreadPoolExecutor(8) as threads:
        asked = sum(threads.map(ask, range(8)))
    return 1e3 * (time.perf_counter() - began) / asked


def seconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def in_a_process(name: str, limit: int, **arguments: Any) -> Optional[Dict[str, float]]:
    """Returns a measurement; None if it took too long or too much memory."""
    command = [sys.executable, __file__, "--run", json.dumps([name, arguments])]
    try:
        with tempfile.TemporaryDirectory() as out:
            env = {**os.environ, "SCALE_OUT": out, "DASK_MERLIN_POPSAMPLER__INDEX_MEMORY": "2 GiB"}
            if name == "measure_cluster":
                env["DASK_MERLIN_POPSAMPLER__INDEX_MEMORY"] = "0"
            done = subprocess.run(  # noqa: S603 - itself
                command, env=env, stdout=subprocess.PIPE, timeout=limit, check=False
            )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        return None
    found: Dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def with_data(
    size: str, kind: str, seed: int, comparison: Callable[..., Dict[str, Any]], arguments: Any
) -> Dict[str, Any]:
    """Runs a comparison on generated data of a size, "ROWSxITEMS", and removes the data."""
    rows, items = (int(float(number)) for number in size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder) / "data", kind, rows, items, seed)
        found = comparison(f"{folder}/data", arguments)
    return {"kind": kind, "rows": rows, "items": items, **found}


def compare_cluster(data: str, arguments: Any) -> Dict[str, Any]:
    """Returns the peaks of the workers, MB above idle, by `split_out`."""
    found = {}
    for split_out in (1, 8):
        result = in_a_process("measure_cluster", arguments.limit, data=data, split_out=split_out)
        found[f"split_out={split_out}"] = result
    return found


def compare(data: str, arguments: Any) -> Dict[str, Any]:
    """Returns medians of both encoders, and ratios by round; None for unfinished measurements."""
    found: Dict[str, List[Any]] = {encoder: [] for encoder in ENCODERS}
    for round_ in range(arguments.rounds):
        for encoder in sorted(ENCODERS, reverse=bool(round_ % 2)):
            result = in_a_process(
                "measure", arguments.limit, encoder=encoder, data=data, split_out=1
            )
            found[encoder].append(result)
    row: Dict[str, Any] = {}
    for figure in FIGURES:
        values = {e: [one[figure] for one in found[e] if one] for e in ENCODERS}
        row[figure] = {e: statistics.median(v) if v else None for e, v in values.items()}
        pairs = [pair for pair in zip(*(found[e] for e in ENCODERS)) if all(pair)]
        row[figure]["ratios"] = sorted(ours[figure] / stock[figure] for stock, ours in pairs)
    ours = [one for one in found["FrequencyCategorify"] if one]
    for figure in ("row_ms", "rows64_ms", "threads_ms"):
        ratios = sorted(one[figure] / one[f"nothing_{figure}"] for one in ours)
        row[figure]["to_nothing"] = statistics.median(ratios) if ratios else None
    return row


def growth(results: List[Dict[str, Any]]) -> List[str]:
    """Returns nanoseconds of a fit per row and per item, by least squares over the sizes."""
    lines = []
    for kind in sorted({row["kind"] for row in results}):
        for encoder in ENCODERS:
            rows = [row for row in results if row["kind"] == kind and row["fit_s"][encoder]]
            sizes = np.array([[1, row["rows"], row["items"]] for row in rows], float)
            if len(rows) > 2:
                fits = np.array([row["fit_s"][encoder] for row in rows])
                _, row, item = 1e9 * np.linalg.lstsq(sizes, fits, rcond=None)[0]
                lines.append(f"\n{kind}, {encoder}: {row:.0f} ns a row, {item:.0f} ns an item")
    return lines


def table(results: List[Dict[str, Any]]) -> List[str]:
    lines = []
    for row in results:
        lines += [
            f"\n{row['kind']}, {row['rows']:,} rows, {row['items']:,} items\n",
            "| figure | Categorify | FrequencyCategorify | ratio (range) | to an idle operator |",
            "|---|---|---|---|---|",
        ]
        for figure, title in FIGURES.items():
            cells = [row[figure][encoder] for encoder in ENCODERS]
            shown = ["not on this machine" if cell is None else f"{cell:.4g}" for cell in cells]
            ratios, idle = row[figure]["ratios"], row[figure].get("to_nothing")
            spread = "" if not ratios else f"{statistics.median(ratios):.2f} "
            spread += f"({ratios[0]:.2f} to {ratios[-1]:.2f})" if ratios else ""
            shown += [spread, "" if idle is None else f"{idle:.2f}"]
            lines.append(f"| {title} | {' | '.join(shown)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["1e6x1e6", "1e7x1e6"], metavar="ROWSxITEMS")
    parser.add_argument("--kinds", nargs="+", default=["integers", "strings"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cluster", metavar="ROWSxITEMS", help="also the workers of a cluster")
    parser.add_argument("--limit", type=int, default=3600, help="seconds of one measurement")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--output", type=Path, default=Path("out/benchmarks"))
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        without_tensorflow()
        warnings.simplefilter("ignore")
        name, given = json.loads(arguments.run)
        print(json.dumps(globals()[name](**given)))
        return

    results = []
    for size in arguments.sizes:
        for kind in arguments.kinds:
            results.append(with_data(size, kind, arguments.seed, compare, arguments))
            print("\n".join(table(results[-1:])), flush=True)
    clusters = [
        with_data(arguments.cluster, kind, arguments.seed, compare_cluster, arguments)
        for kind in arguments.kinds
        if arguments.cluster
    ]
    lines = table(results) + growth(results) + [""] + [str(row) for row in clusters]
    publish(arguments.output, "scale", lines, [*results, *clusters])


if __name__ == "__main__":
    main()
