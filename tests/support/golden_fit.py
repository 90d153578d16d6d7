"""A fit whose ids and contract must equal `golden/fit.json`, with all library versions.

`python -m tests.support.golden_fit` prints them as they are here and now; they were made by Python
3.11 with pandas 1.5.3, NumPy 1.24.3, pyarrow 15.0.2 and dask 2023.3.2.
"""

import datetime as dt
import json
import tempfile
from pathlib import Path
from typing import Any, Dict, List

import nvtabular as nvt
import pandas as pd
from merlin.io import Dataset

from merlin_popsampler import FrequencyCategorify
from merlin_popsampler.contract.metadata import PROPERTY

OPTIONS = {"hashed": {"num_buckets": 5, "freq_threshold": 4}}
"""Of the columns that are not encoded by default."""

_STRINGS = ["tea", "jam", "", "Tee", "café", "商品", "tea ", "a\tb", None, "0", "nan"]
_NUMBERS = [7, -3, 0, 2**40, 11, 5, 12, 13]
_ZONE = dt.timezone(dt.timedelta(hours=9))
REQUESTS = {
    "string": ["tea", "unseen", None, "商品"],
    "number": [2**40, 99, -3, 7],
    "with_nulls": [2.0, None, 77.0, 0.0],
    "bag": [["tea", "unseen"], ["商品"], [], [""]],
    "hashed": ["tea", "unseen", None, "another"],
    "day": [dt.date(2024, 1, 3), dt.date(1999, 1, 1), None, dt.date(2024, 1, 1)],
    "instant": [pd.Timestamp("2024-01-01 09:00", tz=_ZONE)] * 4,
}


def frame(rows: int = 400) -> pd.DataFrame:
    """Returns columns whose keys have different frequencies, and some ties."""
    places = [row * row % (row % 11 + 1) for row in range(rows)]
    strings = [_STRINGS[place] for place in places]
    start = pd.Timestamp("2024-01-01", tz="UTC")
    return pd.DataFrame(
        {
            "string": strings,
            "number": [_NUMBERS[place % 8] for place in places],
            "with_nulls": [None if row % 7 == 6 else float(p) for row, p in enumerate(places)],
            "bag": [[s for s in strings[row : row + row % 4] if s] for row in range(rows)],
            "hashed": [f"item {row * row % (row % 97 + 1)}" for row in range(rows)],
            "day": [dt.date(2024, 1, 1 + place) for place in places],
            "instant": [start + pd.Timedelta(hours=place) for place in places],
        }
    )


def fit(data: Any, folder: Path) -> Dict[str, Dict[str, Any]]:
    """Returns the content of the golden file, from a fit of that frame or of its files.

    By column: the ids of its rows and of the requests, the contract, and how well curves fit.

    Args:
      data: a Merlin Dataset.
      folder: an empty one.
    """
    found = {}
    for column, requests in REQUESTS.items():
        options = OPTIONS.get(column, {})
        encoder = FrequencyCategorify(out_path=str(folder / column), **options)
        workflow = nvt.Workflow([column] >> encoder)
        workflow.fit(data)
        served = workflow.transform(pd.DataFrame({column: requests}))
        properties = workflow.output_schema[column].properties
        found[column] = {
            "ids": _plain(workflow.transform(data).compute()[column]),
            "requests": _plain(served[column]),
            "contract": {name: x for name, x in properties[PROPERTY].items() if name != "fit"},
            "fit": properties[PROPERTY]["fit"],
        }
    return found


def _plain(ids: Any) -> List[Any]:
    return [[int(i) for i in row] if hasattr(row, "__len__") else int(row) for row in ids]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        made = fit(Dataset(frame(), npartitions=3, cpu=True), Path(place))
    lines = [f"{json.dumps(column)}: {json.dumps(made[column], sort_keys=True)}" for column in made]
    print("{\n" + ",\n".join(lines) + "\n}")
