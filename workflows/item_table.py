"""The item table: features of each item of a vocabulary, under the ids of a fitted workflow."""

from pathlib import Path
from typing import Any, List

import numpy as np
import pandas as pd


def write_items(
    encoded_ids: Any, keys: pd.Series, features: pd.DataFrame, numbers: List[str], output: Path
) -> None:
    """Writes `items/` under a folder: one row for each item that has an id of its own.

    The items' keys become ids by the very operator that encoded the training data. Features are
    encoded by a workflow that is fitted on these rows, each item counting once. An item without a
    row in `features` has null's id in categories, no element in lists, and the median in numbers.

    Args:
      encoded_ids: node of a fitted workflow, from `item_id` to encoded and tagged `item_id`.
      keys: of the items, as that workflow takes them; repeats do no harm.
      features: `key`, the items' keys as text, each once, and columns of features.
      numbers: names of the columns that are numbers; all others are categories.
      output: folder; vocabularies of the features go to `vocabulary` in it.
    """
    import nvtabular as nvt
    from merlin.schema import Schema
    from nvtabular import ops

    from merlin_popsampler import FrequencyCategorify, read_popularity

    raw = nvt.Dataset(pd.DataFrame({"item_id": keys.drop_duplicates().to_numpy()}), npartitions=1)
    encoder = nvt.Workflow(encoded_ids).fit_schema(raw.schema)
    frame = raw.compute()
    frame = frame.assign(key=frame["item_id"].astype(str))
    frame["item_id"] = encoder.transform(raw).compute()["item_id"].to_numpy()
    known = read_popularity(encoder).domain
    frame = frame[frame["item_id"] >= known.min_id].sort_values("item_id")
    frame = frame.merge(features, on="key", how="left").drop(columns="key")

    schema = nvt.Dataset(frame).schema.remove_col("item_id")
    data = nvt.Dataset(frame, schema=Schema([encoder.output_schema["item_id"], *schema]))
    nodes = nvt.ColumnSelector(["item_id"])
    categories = [name for name in frame.columns if name not in ("item_id", *numbers)]
    if categories:
        encode = FrequencyCategorify(out_path=str(output / "vocabulary"))
        nodes = nodes + (categories >> encode >> ops.TagAsItemFeatures())
    if numbers:
        scaled = numbers >> ops.FillMedian() >> ops.Normalize(out_dtype=np.float32)
        nodes = nodes + (scaled >> ops.TagAsItemFeatures())
    nvt.Workflow(nodes).fit_transform(data).to_parquet(str(output / "items"))
