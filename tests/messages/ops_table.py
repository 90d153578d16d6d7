"""Messages of `ops` and their advice, followed."""

import warnings

import pandas as pd
from nvtabular import ops

from merlin_popsampler import FrequencyOrder
from merlin_popsampler.ops.fitted_column import read_fitted_column
from merlin_popsampler.ops.schema_file import read_schema_file
from tests.messages.things import data, encoder, frame
from tests.support.messages import Entry
from tests.support.workflow_helpers import dataset, encode, fitted, saved

PAIRS = pd.DataFrame({"a": list("xxy"), "b": list("yzz"), "item_id": list("tuv")})


def written(folder, text):
    (folder / "schema.json").write_text(text)
    return str(folder / "schema.json")


def saved_pair(folder, workflow_too=True):
    """A folder with the vocabularies a and b of one workflow, of which a is tagged."""
    node = ["a", "b"] >> encoder(folder)
    made = fitted((node["a"] >> ops.TagAsItemID()) + node["b"], dataset(PAIRS, 1))
    if not workflow_too:
        return str(folder / "fit")
    made.save(str(folder / "workflow"))
    return str(folder / "workflow")


def stock_data(folder):
    node = ["item_id"] >> ops.Categorify(out_path=str(folder / "fit")) >> ops.TagAsItemID()
    return written_by(node, folder)


def counted_data(folder):
    node = ["item_id"] >> ops.Categorify(out_path=str(folder / "fit"))
    order = FrequencyOrder(out_path=str(folder / "fit"))
    return written_by(node >> order >> ops.TagAsItemID(), folder)


def written_by(node, folder):
    made = fitted(node, dataset(frame(), 1))
    made.transform(dataset(frame(), 1)).to_parquet(str(folder / "data"))
    return str(folder / "data")


def measured(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_fitted_column(path).item_counts


def with_counts(folder, of):
    saved(["tea", "tea", "jam"], folder / "a")
    saved(["tea", "jam", "jam", "rye"], folder / "b")
    counts = next((folder / of / "fit").rglob("popularity.item_id.parquet"))
    return read_fitted_column(str(folder / "a" / "data"), counts_path=str(counts))


def joint(folder, **options):
    return encode(PAIRS, [["a", "b"]], str(folder), **options)


TABLE = {
    "ops.schema_file": [
        Entry(
            "Pass a schema that Merlin wrote",
            lambda folder: read_schema_file(written(folder, "{}")),
            [lambda folder: read_schema_file(data(folder) + "/.merlin/schema.json")],
        ),
    ],
    "ops.fitted_column": [
        Entry(
            "expected a popularity that was measured",
            lambda folder: measured(stock_data(folder)),
            [
                lambda folder: measured(data(folder)),
                lambda folder: measured(counted_data(folder)),
            ],
        ),
        Entry(
            "Pass the folder that",
            lambda folder: read_fitted_column(str(folder)),
            [
                lambda folder: read_fitted_column(data(folder)),
                lambda folder: read_fitted_column(str(saved(list("aab"), folder) / "workflow")),
            ],
        ),
        Entry(
            "Loading NVTabular",
            lambda folder: read_fitted_column(saved_pair(folder)),
            [lambda folder: read_fitted_column(saved_pair(folder), "a")],
        ),
        Entry(
            "Pass one of these names as column",
            lambda folder: read_fitted_column(saved_pair(folder, workflow_too=False)),
            [lambda folder: read_fitted_column(saved_pair(folder, workflow_too=False), "b")],
        ),
        Entry(
            "expected the counts that its schema was made from",
            lambda folder: with_counts(folder, of="b"),
            [lambda folder: with_counts(folder, of="a")],
        ),
    ],
    "ops.column_options": [
        Entry(
            "Give it under the group's name",
            lambda folder: joint(folder, freq_threshold={"a": 1, "b": 2}),
            [lambda folder: joint(folder, freq_threshold={"a_b": 2})],
        ),
    ],
}
