"""Triggers messages of the operators, their keys and ids, and follows their advice."""

import os
import shutil

import numpy as np
import pandas as pd
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder
from tests.messages.things import encoder, frame
from tests.support.messages import Entry
from tests.support.workflow_helpers import dataset, fitted

WIDE = pd.DataFrame({"item_id": np.repeat(np.arange(200), 2)})
PAIRS = pd.DataFrame({"a": list("xxy"), "b": list("yzz"), "c": list("zzx")})
IDS = pd.DataFrame({"item_id": [1, 2, 2]})
LISTS = pd.DataFrame({"item_id": [["tea"], ["jam", "tea"]]})


def fit(node, data, parts=1):
    """Fits a workflow, and transforms the same data."""
    made = fitted(node, dataset(data, parts))
    made.transform(dataset(data, parts)).compute()
    return made


def encode(folder, data, columns=("item_id",), **options):
    return fit(list(columns) >> encoder(folder, **options), data)


def order(folder, data=IDS, before=None, columns=("item_id",), **options):
    counted = FrequencyOrder(out_path=str(folder / "fit"), **options)
    nodes = list(columns) if before is None else before
    return fit(nodes >> counted, data)


def stock(folder, **options):
    return ["item_id"] >> ops.Categorify(out_path=str(folder / "fit"), **options)


def other_keys(folder, keys):
    made = encode(folder, frame())
    return made.transform(dataset(pd.DataFrame({"item_id": keys}), 1)).compute()


def as_object(keys):
    return pd.DataFrame({"item_id": pd.Series(keys, dtype=object)})


def later_ids(folder, ids):
    """Transforms later ids by a workflow that renumbers."""
    made = order(folder, on_violation="remap")
    return made.transform(dataset(pd.DataFrame({"item_id": ids}), 1)).compute()


def same_name(folder, one_operator):
    """Fits two branches of one column, one of them without its first rows."""
    whole = ["item_id"]
    part = ["item_id"] >> ops.LambdaOp(lambda keys: keys + "s")
    one = encoder(folder)
    two = one if one_operator else encoder(folder)
    renamed = part >> two >> ops.Rename(postfix="_s")
    return fit((whole >> one) + renamed, frame())


def many_fits(folder, clear):
    """Writes more than ten fits into one out_path; earlier ones are removed or not."""
    for number in range(12):
        if clear:
            shutil.rmtree(folder / "fit", ignore_errors=True)
        encode(folder, frame()[number % 5 :])


def kept(folder, rows):
    """Filters after the encoder, so that Merlin passes on the raw column of empty partitions."""
    keep = pd.DataFrame({"keep": [number in rows for number in range(6)]})
    keys = pd.DataFrame({"item_id": np.array([7, 7, 7, 8, 8, 9], "int32")})
    node = ["item_id"] >> encoder(folder)
    node = (node + ["keep"] >> ops.Filter(lambda df: df[df["keep"]]))["item_id"]
    node = node >> FrequencyOrder(on_violation="remap", out_path=str(folder / "fit"))
    return node, pd.concat([keys, keep], axis=1)


def in_two_parts(folder, rows):
    node, data = kept(folder, rows)
    return fit(node, data, parts=2)


def filtered_later(folder, before_the_workflow):
    """Fits on all rows, and transforms rows that the filter removes."""
    node, data = kept(folder, range(2, 6))
    made = fit(node, data)
    later = pd.DataFrame({"item_id": [700, 7], "keep": [False, True]})
    if before_the_workflow:
        return made.transform(later[later["keep"]])
    return made.transform(later[~later["keep"]])


def audited(folder, spoil, **options):
    """Checks ids of stock Categorify after its vocabulary was damaged."""
    made = fit(stock(folder), frame())
    encoded = made.transform(dataset(frame(), 1))
    encoded.schema = made.output_schema
    path = made.output_schema["item_id"].properties["cat_path"]
    spoil(path)
    options = options or {"mode": "vocabulary"}
    return fitted(["item_id"] >> FrequencyOrder(out_path=str(folder / "fit"), **options), encoded)


def replaced(**columns):
    index = columns.pop("index", pd.RangeIndex(3, 3 + len(next(iter(columns.values())))))
    return lambda path: pd.DataFrame(columns, index).to_parquet(path)


TABLE = {
    "ops.frequency_categorify": [
        Entry("By default it is", lambda _: FrequencyCategorify(steps=0)),
        Entry(
            "Expected no vocabs",
            lambda _: FrequencyCategorify(vocabs={"item_id": pd.Series(["tea", "jam", "milk"])}),
            [
                lambda folder: order(
                    folder,
                    frame(),
                    stock(folder, vocabs={"item_id": pd.Series(["jam", "milk", "tea"])}),
                    on_violation="remap",
                )
            ],
        ),
        Entry(
            "expected max_size to be at least", lambda folder: encode(folder, frame(), max_size=2)
        ),
        Entry(
            "Pass a wider dtype",
            lambda folder: encode(folder, WIDE, dtype="int8"),
            [
                lambda folder: encode(folder, WIDE, dtype="int16"),
                lambda folder: encode(folder, WIDE, dtype="int8", max_size=128),
            ],
        ),
        Entry(
            "Expected each column in one joint group",
            lambda folder: encode(folder, PAIRS, [["a", "b"], ["b", "c"]]),
        ),
    ],
    "ops.frequency_order": [
        Entry("By default it is", lambda _: FrequencyOrder(steps=0)),
        Entry(
            "Leave mode at its default.",
            lambda _: FrequencyOrder("vocabulary", on_violation="remap"),
            [lambda _: FrequencyOrder(on_violation="remap")],
        ),
        Entry(
            "or pass on_violation='remap'",
            order,
            [
                lambda folder: order(folder, on_violation="remap"),
                lambda folder: encode(folder, IDS),
            ],
        ),
    ],
    "ops.id_order": [
        Entry(
            "expected ids of one dtype in every partition",
            lambda folder: in_two_parts(folder, range(3)),
        ),
        Entry(
            "expected ids as in the fit",
            lambda folder: filtered_later(folder, before_the_workflow=False),
        ),
        Entry(
            "Fill or encode them first",
            lambda folder: later_ids(folder, pd.array([1, None], "Int64")),
        ),
        Entry(
            "Encode the column first",
            lambda folder: order(folder, frame()),
            [lambda folder: order(folder, frame(), ["item_id"] >> encoder(folder))],
        ),
    ],
    "ops.keys.columns": [
        Entry(
            "Explode the lists, or encode each column by itself",
            lambda folder: encode(
                folder, LISTS.assign(b=["x", "y"]), [["item_id", "b"]], encode_type="combo"
            ),
        )
    ],
    "ops.keys.kinds": [
        Entry(
            "Store the column as strings, or as integers without nulls",
            lambda folder: encode(folder, pd.DataFrame({"item_id": [2.0**53, np.nan]})),
            [
                lambda folder: encode(folder, pd.DataFrame({"item_id": [str(2**53), None]})),
                lambda folder: encode(folder, pd.DataFrame({"item_id": [2**53, -1]})),
            ],
        ),
        Entry(
            "Replace it, also inside lists, by a key of your own, or by a null",
            lambda folder: encode(folder, pd.DataFrame({"item_id": [2.0, np.inf]})),
            [
                lambda folder: encode(
                    folder, pd.DataFrame({"item_id": [2.0, np.inf]}).replace([np.inf], np.nan)
                ),
                lambda folder: encode(folder, pd.DataFrame({"item_id": [[2.0, np.nan], [3.0]]})),
            ],
        ),
        Entry(
            "expected numbers, strings, bytes",
            lambda folder: encode(folder, as_object([1 + 2j, 3j])),
        ),
        Entry(
            "Transform the type of data that the workflow was fitted on",
            lambda folder: other_keys(folder, [1, 2]),
        ),
    ],
    "ops.stored_operator": [
        Entry(
            "Expected one vocabulary of each name",
            lambda folder: same_name(folder, one_operator=True),
        ),
        Entry(
            "Remove those that no running process", lambda folder: many_fits(folder, clear=False)
        ),
    ],
    "store.stock_files": [
        Entry("was the folder moved or removed", lambda folder: audited(folder, os.remove)),
        Entry(
            "Categorify(vocabs=...) counts nothing",
            lambda folder: audited(folder, replaced(item_id=["tea", "milk", "jam"])),
        ),
        Entry(
            "which are not the encoder's ids",
            lambda folder: audited(
                folder, replaced(item_id=["tea"], item_id_size=[9], index=pd.RangeIndex(5, 6))
            ),
        ),
    ],
}
