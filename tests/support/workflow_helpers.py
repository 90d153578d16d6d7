"""Fits small workflows, and computes the expected order in plain Python."""

import atexit
import gc
import json
import os
import subprocess
import sys
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Iterable, List, Tuple

import numpy as np
import nvtabular as nvt
import pandas as pd
from merlin.io import Dataset
from merlin.io.worker import clean_worker_cache

from merlin_popsampler import FrequencyCategorify
from merlin_popsampler.ops.lookup import INDEXES
from tests.support.processes import OPERATORS, ROOT


def dataset(frame: pd.DataFrame, npartitions: int = 3) -> Dataset:
    return Dataset(frame, npartitions=npartitions, cpu=True)


def fitted(node: Any, data: Any) -> nvt.Workflow:
    workflow = nvt.Workflow(node)
    workflow.fit(data if isinstance(data, Dataset) else dataset(data))
    return workflow


def encode(frame: pd.DataFrame, columns: Any, out_path: str, npartitions: int = 3, **options: Any):
    """Fits a workflow of one FrequencyCategorify; returns it and its output."""
    data = dataset(frame, npartitions)
    workflow = fitted(columns >> FrequencyCategorify(out_path=out_path, **options), data)
    return workflow, workflow.transform(data).compute().reset_index(drop=True)


def expected_order(keys: Iterable[Any]) -> List[Tuple[Any, int]]:
    """Returns keys and counts by (count descending, key ascending), without nulls."""
    counts = Counter(key for key in keys if not _is_null(key))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def expected_ids(keys: Iterable[Any], min_id: int = 3) -> Dict[Any, int]:
    return {key: min_id + rank for rank, (key, _) in enumerate(expected_order(keys))}


def saved(keys: Iterable[Any], folder: Path, column: str = "item_id", **options: Any) -> Path:
    """Writes a folder with the operator's `fit`, a saved `workflow`, and the encoded `data`."""
    data = dataset(pd.DataFrame({column: keys}), 1)
    encoder = FrequencyCategorify(out_path=str(folder / "fit"), **options)
    workflow = fitted([column] >> encoder >> nvt.ops.TagAsItemID(), data)
    workflow.save(str(folder / "workflow"))
    workflow.transform(data).to_parquet(str(folder / "data"))
    return folder


ELSEWHERE = (
    OPERATORS
    + """
import json, os, pickle, traceback
import nvtabular, pandas

def transform(source):
    if os.path.isdir(source):
        workflow = nvtabular.Workflow.load(source)
    else:
        workflow = pickle.load(open(source, "rb"))
    workflow.transform(pandas.read_pickle("given.pkl")).to_pickle("made.pkl")

for line in sys.stdin:
    folder, source = json.loads(line)
    child = os.fork()
    if not child:
        try:
            os.chdir(folder)
            transform(source)
            os._exit(0)
        except BaseException:
            traceback.print_exc(file=open("said.txt", "w"))
            os._exit(1)
    print(os.waitpid(child, 0)[1], flush=True)
"""
)
"""Has imported all dependencies, but no operator of this package; forks for each transform."""


@lru_cache(maxsize=None)
def _elsewhere() -> Any:
    """Returns the process of `ELSEWHERE`, started by the first test that needs it."""
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", ELSEWHERE],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.communicate)  # closing its input ends it
    return server


def transformed_elsewhere(source: Path, frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Transforms a frame in a process that has nothing in memory.

    The workflow is read from `source`, the folder of a saved one or the file of a pickled one.
    """
    frame.to_pickle(folder / "given.pkl")
    server = _elsewhere()
    print(json.dumps([str(folder), str(source)]), file=server.stdin, flush=True)
    assert server.stdout.readline().strip() == "0", (folder / "said.txt").read_text()[-3000:]
    return pd.read_pickle(folder / "made.pkl")


def forget_vocabularies() -> None:
    """Empties the caches, so that files are read again."""
    clean_worker_cache()
    INDEXES.clear()


def transformed_anew(workflow: nvt.Workflow, frame: pd.DataFrame) -> pd.DataFrame:
    """Transforms a frame by the files of the workflow, without caches."""
    forget_vocabularies()
    return workflow.transform(frame)


def bytes_below(folder: Any) -> Dict[str, bytes]:
    """Returns the bytes of all files below a folder, by relative path."""
    gc.collect()  # so that no deleted operator removes its unfinished fit meanwhile
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def fit_folders(folder: Any, complete: bool = True) -> List[Path]:
    """Returns folders of fits below a folder, oldest first: complete or incomplete ones."""
    folders = sorted(path for fits in Path(folder).rglob(".fits") for path in fits.iterdir())
    return [path for path in folders if (path / "manifest.json").exists() == complete]


def vocabulary(out_path: str, name: str = "item_id") -> pd.DataFrame:
    return parts_of(out_path, f"unique.{name}")


def parts_of(out_path: str, name: str) -> pd.DataFrame:
    """Reads a table, or its parts, under Categorify's name."""
    path = Path(f"{out_path}/categories/{name}.parquet")
    parts = sorted(path.glob("part.*"), key=lambda part: int(part.name.split(".")[1])) or [path]
    return pd.concat([pd.read_parquet(part) for part in parts])


def last_counts(folder: Any, name: str = "item_id") -> List[int]:
    """Returns the counts of the ids from 0 on, in the last fit below a folder."""
    return _counts(fit_folders(folder)[-1] / f"popularity.{name}.parquet")


def counts_file(out_path: str, name: str = "item_id") -> List[int]:
    return _counts(Path(out_path) / "categories" / f"popularity.{name}.parquet")


def _counts(path: Path) -> List[int]:
    frame = pd.read_parquet(path)
    assert frame["id"].tolist() == list(range(len(frame)))
    return frame["count"].tolist()


def meta_file(out_path: str, name: str = "item_id") -> pd.DataFrame:
    return pd.read_parquet(f"{out_path}/categories/meta.{name}.parquet").set_index("kind")


def popularity(workflow: nvt.Workflow, column: str = "item_id") -> Dict[str, Any]:
    return workflow.output_schema[column].properties["popularity"]


def check_contract(found, ids, reserved):
    """Checks range, order and curve against counts of the encoded ids by NumPy."""
    counts = np.bincount(ids)
    seen = [i for i in np.flatnonzero(counts) if i >= reserved]
    assert (found["min_id"], found["max_id"]) == (seen[0], seen[-1])
    known = np.maximum(counts[seen[0] :], 1)
    assert found["frequency_ordered"] == bool((np.diff(known) <= 0).all())
    if found["frequency_ordered"]:
        *steps, end = found["steps"].split(",")
        assert sum(int(step.split(":")[1]) for step in steps) == known.sum()
        assert int(end) == seen[-1] + 1
    else:
        assert "steps" not in found and "fit" not in found


def _is_null(key: Any) -> bool:
    return key is None or (isinstance(key, float) and np.isnan(key))
