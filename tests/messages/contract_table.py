"""Triggers messages of `contract`, and follows their advice."""

import sys
import warnings
from unittest import mock

import numpy as np
import pandas as pd
from merlin.io import Dataset
from merlin.schema import ColumnSchema, Schema, Tags
from nvtabular import Workflow, ops

from merlin_popsampler import (
    FrequencyOrder,
    PopularityBasedSampler,
    check_order,
    popularity_from,
    read_popularity,
)
from merlin_popsampler.contract.metadata import PopularityMetadata
from merlin_popsampler.distributions import Empirical, LogUniform
from merlin_popsampler.tf import InBatch
from tests.messages.things import KEYS, data, encoder, frame, schema, stock_schema, workflow
from tests.support.messages import Entry
from tests.support.workflow_helpers import dataset, fitted

PLAIN = Schema([ColumnSchema("item_id", [Tags.ITEM_ID], {}, np.int64)])


def untagged(folder):
    return fitted(["item_id"] >> encoder(folder), dataset(frame(), 1))


def two_tagged(folder):
    both = frame().assign(other=KEYS[::-1])
    return fitted(["item_id", "other"] >> encoder(folder) >> ops.TagAsItemID(), dataset(both, 1))


def counted(folder):
    node = ["item_id"] >> ops.Categorify(out_path=str(folder / "fit"))
    order = FrequencyOrder(out_path=str(folder / "fit"))
    return fitted(node >> order >> ops.TagAsItemID(), dataset(frame(), 1))


def lost_in_a_frame(folder):
    """Returns a data set that lost the tag of the workflow, as a data frame."""
    return Dataset(workflow(folder).transform(dataset(frame(), 1)).compute())


def without_dict(folder):
    """Returns a schema whose domain is not a dict."""
    return Schema([schema(folder)["item_id"].with_properties({"domain": 7})])


def measured(count):
    return PopularityMetadata.from_counts(np.array([count, count]), 3, "counted", 2).to_dict()


def disordered(folder):
    """Returns a schema whose contract says that ids are not in frequency order."""
    node = ["item_id"] >> FrequencyOrder(on_violation="warn", out_path=str(folder / "fit"))
    ids = pd.DataFrame({"item_id": [1, 2, 2]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fitted(node >> ops.TagAsItemID(), dataset(ids, 1)).output_schema


def remapped(folder):
    order = FrequencyOrder(on_violation="remap", out_path=str(folder / "fit"))
    ids = pd.DataFrame({"item_id": [1, 2, 2]})
    return fitted(["item_id"] >> order >> ops.TagAsItemID(), dataset(ids, 1)).output_schema


def empty(folder):
    node = ["item_id"] >> encoder(folder) >> ops.TagAsItemID()
    return fitted(node, dataset(pd.DataFrame({"item_id": [None, None]}), 1)).output_schema


def build(source, **settings):
    return PopularityBasedSampler.from_schema(source, **{"max_num_samples": 2, **settings})


def quietly(function, *arguments, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **settings)


def without_fsspec(folder):
    with mock.patch.dict(sys.modules, fsspec=None):
        read_popularity(f"file://{data(folder)}")


TABLE = {
    "contract.counts": [
        Entry(
            "maps ids to ranks, or encode with FrequencyCategorify",
            lambda _: check_order({3: 1, 4: 2}),
            [lambda folder: read_popularity(data(folder))],
        ),
        Entry("Pass the counts of the training interactions", lambda _: popularity_from({3: 0})),
        Entry("to be a flat list of whole numbers", lambda _: popularity_from({"tea": 1})),
        Entry(
            "Pass integer ids and whole counts", lambda _: popularity_from(([3, 4], [[1], [2, 3]]))
        ),
        Entry("Add the counts of equal ids", lambda _: popularity_from(([3, 3], [2, 1]))),
        Entry(
            "pass them as reserved_ids",
            lambda _: popularity_from([0, 2, 1]),
            [lambda _: popularity_from([0, 2, 1], reserved_ids=[0])],
        ),
    ],
    "contract.schema_file": [
        Entry("Pass the folder that to_parquet wrote", read_popularity),
    ],
    "contract.files": [Entry("copy the schema's file", without_fsspec)],
    "contract.metadata": [
        Entry(
            "Use FrequencyCategorify, or",
            lambda folder: build(disordered(folder)),
            [lambda folder: build(schema(folder)), lambda folder: build(remapped(folder))],
        ),
        Entry("Fit the workflow on data that holds items", lambda folder: build(empty(folder))),
        Entry("Divide all of them by the same number", lambda _: measured(2**53)),
        Entry(
            "Let FrequencyOrder count the ids first",
            lambda folder: quietly(read_popularity, stock_schema(folder)).to_dict(),
            [lambda folder: read_popularity(counted(folder)).to_dict()],
        ),
    ],
    "contract.sampler_settings": [
        Entry(
            "Expected the measured distribution for in-batch negatives",
            lambda _: InBatch(14, 3, distribution="log_uniform"),
            [lambda folder: InBatch.from_schema(schema(folder))],
        ),
        Entry(
            "Take one of these, or leave it out",
            lambda _: PopularityBasedSampler(6, 3, 2, distribution=7),
        ),
        Entry(
            "Build distribution, min_id and max_id from one schema",
            lambda _: PopularityBasedSampler(6, 3, 2, distribution=LogUniform(7)),
        ),
        Entry(
            "or pass distribution='uniform'",
            lambda folder: build(disordered(folder), distribution="log_uniform"),
            [
                lambda folder: build(schema(folder), distribution="log_uniform"),
                lambda folder: build(remapped(folder), distribution="log_uniform"),
                lambda folder: build(disordered(folder), distribution="uniform"),
            ],
        ),
        Entry(
            "Or pass a distribution that needs no frequency order, distribution='uniform'",
            lambda folder: build(disordered(folder)),
            [lambda folder: build(disordered(folder), distribution="uniform")],
        ),
        Entry(
            "expected the steps of its popularity",
            lambda folder: quietly(build, stock_schema(folder), distribution="empirical"),
            [
                lambda folder: build(schema(folder), distribution="empirical"),
                lambda folder: quietly(build, stock_schema(folder), distribution="log_uniform"),
            ],
        ),
        Entry(
            "Expected distortion only with the measured distribution",
            lambda folder: build(schema(folder), distribution="uniform", distortion=0.5),
            [
                lambda folder: build(schema(folder), distortion=0.5),
                lambda folder: build(schema(folder), distribution="uniform"),
                lambda folder: build(
                    schema(folder),
                    distribution=Empirical(read_popularity(schema(folder)).curve, 0.5),
                ),
            ],
        ),
    ],
    "contract.schema": [
        Entry(
            "without a schema",
            lambda folder: read_popularity(Workflow(["item_id"] >> encoder(folder))),
        ),
        Entry("Pass one of these names", lambda folder: read_popularity(workflow(folder), "items")),
        Entry(
            "Expected a column tagged as item id",
            lambda folder: read_popularity(untagged(folder)),
            [
                lambda folder: read_popularity(workflow(folder)),
                lambda folder: read_popularity(untagged(folder), column="item_id"),
            ],
        ),
        Entry(
            "a data frame has lost the tags",
            lambda folder: read_popularity(lost_in_a_frame(folder)),
            [
                lambda folder: read_popularity(workflow(folder)),
                lambda folder: read_popularity(Dataset(data(folder), engine="parquet")),
            ],
        ),
        Entry(
            "Expected one column tagged as item id",
            lambda folder: read_popularity(two_tagged(folder)),
            [lambda folder: read_popularity(two_tagged(folder), column="item_id")],
        ),
        Entry(
            "Fit the workflow that wrote the schema again",
            lambda folder: read_popularity(without_dict(folder)),
        ),
        Entry(
            "or Categorify's own",
            lambda _: read_popularity(PLAIN),
            [
                lambda folder: read_popularity(workflow(folder)),
                lambda folder: read_popularity(counted(folder)),
                lambda _: PopularityBasedSampler(max_id=9, min_id=3, max_num_samples=2),
            ],
        ),
        Entry(
            "To have the order checked",
            lambda folder: read_popularity(stock_schema(folder)),
            [
                lambda folder: read_popularity(workflow(folder)),
                lambda folder: read_popularity(counted(folder)),
            ],
        ),
    ],
}
