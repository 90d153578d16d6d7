"""Writes the item table: features of each item of a vocabulary, by the ids of a fitted workflow."""

from pathlib import Path
from typing import Any, List

import numpy as np
import pandas as pd

from merlin_popsampler.errors import PopSamplerError


def write_items(encoded_ids: Any, features: pd.DataFrame, numbers: List[str], output: Path) -> None:
    """Writes `items/` in a folder, with one row for each item of the vocabulary.

    The operator that encoded the training data encodes the keys of the items. A workflow that is
    fitted on these rows encodes the features, so each item counts once. An item without a row in
    `features` gets the id of null in categories, empty lists, and the median of numbers.

    Args:
      encoded_ids: node of a fitted workflow, from `item_id` to encoded and tagged `item_id`.
      features: frame of `key`, the distinct keys of the items, and columns of features.
      numbers: names of the columns that are numbers; the remaining ones are categories.
      output: folder; vocabularies of the features are written to `vocabulary` in it.

    Raises:
      PopSamplerError: a feature has no value for any item of the vocabulary.
    """
    import nvtabular as nvt
    from merlin.schema import Schema
    from nvtabular import ops

    from merlin_popsampler import FrequencyCategorify, read_popularity

    raw = nvt.Dataset(features[["key"]].rename(columns={"key": "item_id"}), npartitions=1)
    encoder = nvt.Workflow(encoded_ids).fit_schema(raw.schema)
    ids = encoder.transform(raw).compute()["item_id"].to_numpy()
    known = read_popularity(encoder).domain
    frame = pd.DataFrame({"item_id": np.arange(known.min_id, known.max_id + 1)})
    features = features.drop(columns="key").assign(item_id=ids)
    frame = frame.merge(features, on="item_id", how="left")
    empty = [name for name in frame.columns if frame[name].isna().all()]
    if empty:
        raise PopSamplerError(
            f"Expected values of the features for items of the vocabulary. Received: none in "
            f"{empty}. Leave these out of --item-features, or pass a smaller --min-count."
        )

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
