"""Small objects for triggering messages and following their advice."""

import pandas as pd
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify
from tests.support.workflow_helpers import dataset, fitted

KEYS = ["tea"] * 6 + ["milk"] * 3 + ["jam"] * 2


def frame(column="item_id"):
    return pd.DataFrame({column: KEYS})


def encoder(folder, **options):
    return FrequencyCategorify(out_path=str(folder / "fit"), **options)


def workflow(folder, column="item_id"):
    """Fits a workflow that encodes and tags three items."""
    return fitted([column] >> encoder(folder) >> ops.TagAsItemID(), dataset(frame(column), 1))


def data(folder, column="item_id"):
    """Returns the path of the data set that the workflow wrote."""
    made = workflow(folder, column).transform(dataset(frame(column), 1))
    made.to_parquet(str(folder / "data"))
    return str(folder / "data")


def schema(folder):
    return workflow(folder).output_schema


def stock_schema(folder, tag=True):
    """Returns a schema of stock Categorify: a range of ids, without counts."""
    node = ["item_id"] >> ops.Categorify(out_path=str(folder / "stock"))
    return fitted(node >> ops.TagAsItemID() if tag else node, dataset(frame(), 1)).output_schema
