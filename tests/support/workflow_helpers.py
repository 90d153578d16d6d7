"""Fitting small workflows, and the plain-Python order that the operators are held to."""

from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterable, List, Tuple

import numpy as np
import nvtabular as nvt
import pandas as pd
from merlin.io import Dataset

from merlin_popsampler import FrequencyCategorify


def dataset(frame: pd.DataFrame, npartitions: int = 3) -> Dataset:
    return Dataset(frame, npartitions=npartitions, cpu=True)


def fitted(node: Any, data: Any) -> nvt.Workflow:
    workflow = nvt.Workflow(node)
    workflow.fit(data if isinstance(data, Dataset) else dataset(data))
    return workflow


def encode(frame: pd.DataFrame, columns: Any, out_path: str, npartitions: int = 3, **options: Any):
    """A workflow of one FrequencyCategorify, and the frame it makes of its own data."""
    data = dataset(frame, npartitions)
    workflow = fitted(columns >> FrequencyCategorify(out_path=out_path, **options), data)
    return workflow, workflow.transform(data).compute().reset_index(drop=True)


def expected_order(keys: Iterable[Any]) -> List[Tuple[Any, int]]:
    """Keys with their counts by (count descending, key ascending), nulls left out: the oracle."""
    counts = Counter(key for key in keys if not _is_null(key))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def expected_ids(keys: Iterable[Any], min_id: int = 3) -> Dict[Any, int]:
    return {key: min_id + rank for rank, (key, _) in enumerate(expected_order(keys))}


def saved(keys: Iterable[Any], folder: Path, column: str = "item_id", **options: Any) -> Path:
    """A folder with the operator's `fit`, a saved `workflow`, and the `data` of these keys."""
    data = dataset(pd.DataFrame({column: keys}), 1)
    encoder = FrequencyCategorify(out_path=str(folder / "fit"), **options)
    workflow = fitted([column] >> encoder >> nvt.ops.TagAsItemID(), data)
    workflow.save(str(folder / "workflow"))
    workflow.transform(data).to_parquet(str(folder / "data"))
    return folder


def vocabulary(out_path: str, name: str = "item_id") -> pd.DataFrame:
    return pd.read_parquet(f"{out_path}/categories/unique.{name}.parquet")


def counts_file(out_path: str, name: str = "item_id") -> List[int]:
    frame = pd.read_parquet(f"{out_path}/categories/popularity.{name}.parquet")
    assert frame["id"].tolist() == list(range(len(frame)))
    return frame["count"].tolist()


def meta_file(out_path: str, name: str = "item_id") -> pd.DataFrame:
    return pd.read_parquet(f"{out_path}/categories/meta.{name}.parquet").set_index("kind")


def popularity(workflow: nvt.Workflow, column: str = "item_id") -> Dict[str, Any]:
    return workflow.output_schema[column].properties["popularity"]


def _is_null(key: Any) -> bool:
    return key is None or (isinstance(key, float) and np.isnan(key))
