"""Messages of the operators, of their keys and of their ids, and their advice, followed."""

import contextlib
import os
import shutil

import numpy as np
import pandas as pd
from nvtabular import ColumnSelector, Workflow, ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder, PopSamplerError
from tests.messages.things import encoder, frame
from tests.support.messages import Entry
from tests.support.workflow_helpers import dataset, fitted

WIDE = pd.DataFrame({"item_id": np.repeat(np.arange(200), 2)})
PAIRS = pd.DataFrame({"a": list("xxy"), "b": list("yzz"), "c": list("zzx")})
IDS = pd.DataFrame({"item_id": [1, 2, 2]})
LISTS = pd.DataFrame({"item_id": [["tea"], ["jam", "tea"]]})


def fit(node, data, parts=1):
    """A workflow that was fitted, and applied to what it was fitted on."""
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


def unfitted(folder):
    return encoder(folder).transform(ColumnSelector(["item_id"]), frame())


def no_longer_joint(folder, one, other=None):
    """First as a group, then each column by itself."""
    first = fit([["a", "b"]] >> one, PAIRS)
    return first, fit(["a", "b"] >> (other or one), PAIRS)


def other_keys(folder, keys):
    made = encode(folder, frame())
    return made.transform(dataset(pd.DataFrame({"item_id": keys}), 1)).compute()


def as_object(keys):
    return pd.DataFrame({"item_id": pd.Series(keys, dtype=object)})


def later_ids(folder, ids):
    """A workflow that renumbers, on ids that come later."""
    made = order(folder, on_violation="remap")
    return made.transform(dataset(pd.DataFrame({"item_id": ids}), 1)).compute()


def same_name(folder, one_operator):
    """Two branches of one column, one of them without its first rows."""
    whole = ["item_id"]
    part = ["item_id"] >> ops.LambdaOp(lambda keys: keys + "s")
    one = encoder(folder)
    two = one if one_operator else encoder(folder)
    renamed = part >> two >> ops.Rename(postfix="_s")
    return fit((whole >> one) + renamed, frame())


def many_fits(folder, clear):
    """More than ten in one out_path, those of other operators removed on the way or not."""
    for number in range(12):
        if clear:
            shutil.rmtree(folder / "fit", ignore_errors=True)
        encode(folder, frame()[number % 5 :])


def kept(folder, rows):
    """Filtered after the encoder: Merlin hands the raw column on where no row is left."""
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
    """Fitted on all rows, applied to some of which the filter leaves none."""
    node, data = kept(folder, range(2, 6))
    made = fit(node, data)
    later = pd.DataFrame({"item_id": [700, 7], "keep": [False, True]})
    if before_the_workflow:
        return made.transform(later[later["keep"]])
    return made.transform(later[~later["keep"]])


def failed(folder, then):
    """An order whose second fit is refused; then what a user may do."""
    made = order(folder, pd.DataFrame({"item_id": [0, 0, 1]}))
    made.save(str(folder / "saved"))
    with contextlib.suppress(PopSamplerError):
        made.fit(dataset(pd.DataFrame({"item_id": [0, 1, 1]}), 1))
    return then(made, folder).transform(pd.DataFrame({"item_id": [0, 1]}))


def audited(folder, spoil, **options):
    """Data that stock Categorify encoded, whose vocabulary is spoiled before it is audited."""
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


AUDIT_CURES = [
    lambda folder: audited(folder, lambda _: None, mode="count"),
    lambda folder: audited(folder, lambda _: None),
]
"""To count, or to fit the encoder again."""

TABLE = {
    "ops.frequency_categorify": [
        Entry(
            "By default it is",
            lambda _: FrequencyCategorify(steps=0),
            [lambda _: FrequencyCategorify(steps=256)],
        ),
        Entry(
            "Expected single_table=False",
            lambda _: FrequencyCategorify(single_table=True),
            [lambda folder: encode(folder, PAIRS, [["a", "b"]])],
        ),
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
            "Rename the column before it is encoded",
            lambda folder: encode(folder, pd.DataFrame({"a\0b": ["tea"]}), ["a\0b"]),
            [lambda folder: encode(folder, pd.DataFrame({"a_b": ["tea"]}), ["a_b"])],
        ),
        Entry(
            "Expected a NumPy integer dtype for ids",
            lambda _: FrequencyCategorify(dtype="float32"),
            [
                lambda folder: encode(folder, frame(), dtype="int32"),
                lambda folder: encode(folder, frame(), dtype="int64"),
                lambda folder: encode(folder, frame()),
            ],
        ),
        Entry(
            "expected max_size to be at least",
            lambda folder: encode(folder, frame(), max_size=2),
            [lambda folder: encode(folder, frame(), max_size=3)],
        ),
        Entry("Fit the workflow first", unfitted, [lambda folder: encode(folder, frame())]),
        Entry(
            "Pass a wider dtype, or max_size",
            lambda folder: encode(folder, WIDE, dtype="int8"),
            [
                lambda folder: encode(folder, WIDE, dtype="int16"),
                lambda folder: encode(folder, WIDE, dtype="int8", max_size=100),
            ],
        ),
        Entry(
            "Make the workflow anew, with a new operator",
            lambda folder: no_longer_joint(folder, encoder(folder)),
            [lambda folder: no_longer_joint(folder, encoder(folder), encoder(folder))],
        ),
        Entry(
            "Expected each column in one joint group",
            lambda folder: encode(folder, PAIRS, [["a", "b"], ["b", "c"]]),
            [
                lambda folder: (
                    encode(folder / "1", PAIRS, [["a", "b"]]),
                    encode(folder / "2", PAIRS, [["b", "c"]]),
                )
            ],
        ),
    ],
    "ops.frequency_order": [
        Entry(
            "By default it is",
            lambda _: FrequencyOrder(steps=0),
            [lambda _: FrequencyOrder(steps=256)],
        ),
        Entry(
            "Leave it at its default,",
            lambda _: FrequencyOrder(mode="guess"),
            [lambda _: FrequencyOrder(mode="count")],
        ),
        Entry(
            "Leave mode at its default.",
            lambda _: FrequencyOrder("vocabulary", on_violation="remap"),
            [lambda _: FrequencyOrder(on_violation="remap")],
        ),
        Entry(
            "Fit the workflow again, or load the one that was saved",
            lambda folder: failed(folder, lambda made, _: made),
            [
                lambda folder: failed(
                    folder, lambda made, _: made.fit(dataset(pd.DataFrame({"item_id": [0, 1]}), 1))
                ),
                lambda folder: failed(
                    folder, lambda _, folder: Workflow.load(str(folder / "saved"))
                ),
            ],
        ),
        Entry(
            "Was it written over? Fit the encoder again",
            lambda folder: audited(folder, replaced(item_id=["x"], item_id_size=[9])),
            [lambda folder: audited(folder, lambda _: None)],
        ),
        Entry(
            "were never seen",
            lambda folder: order(folder, pd.DataFrame({"item_id": [1, 1, 3]})),
            excepted="it says what was done, since a filter may be meant to leave gaps",
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
            [lambda folder: in_two_parts(folder, range(1, 6))],
        ),
        Entry(
            "expected ids as in the fit",
            lambda folder: filtered_later(folder, before_the_workflow=False),
            [lambda folder: filtered_later(folder, before_the_workflow=True)],
        ),
        Entry(
            "Fill or encode them first",
            lambda folder: later_ids(folder, pd.array([1, None], "Int64")),
            [lambda folder: later_ids(folder, np.array([1, 0]))],
        ),
        Entry(
            "Encode the column first",
            lambda folder: order(folder, frame()),
            [lambda folder: order(folder, frame(), ["item_id"] >> encoder(folder))],
        ),
    ],
    "ops.keys.columns": [
        Entry(
            "Make lists of the single keys, or explode the lists",
            lambda folder: encode(folder, as_object([["tea"], "jam"])),
            [
                lambda folder: encode(folder, as_object([["tea"], ["jam"]])),
                lambda folder: encode(folder, as_object(["tea", "jam"])),
            ],
        ),
        Entry(
            "Explode the lists, or encode each column by itself",
            lambda folder: encode(
                folder, LISTS.assign(b=["x", "y"]), [["item_id", "b"]], encode_type="combo"
            ),
            [
                lambda folder: encode(
                    folder,
                    LISTS.assign(b=["x", "y"]).explode("item_id"),
                    [["item_id", "b"]],
                    encode_type="combo",
                ),
                lambda folder: encode(folder, LISTS.assign(b=["x", "y"]), ["item_id", "b"]),
            ],
        ),
    ],
    "ops.keys.kinds": [
        Entry(
            "Convert all of the column",
            lambda folder: encode(folder, as_object([1, "tea"])),
            [lambda folder: encode(folder, as_object(["1", "tea"]))],
        ),
        Entry(
            "Store the column as strings, or fill the nulls",
            lambda folder: encode(folder, pd.DataFrame({"item_id": [2.0**53, np.nan]})),
            [
                lambda folder: encode(folder, as_object([str(2**53), None])),
                lambda folder: encode(folder, pd.DataFrame({"item_id": [2**53, 0]})),
            ],
        ),
        Entry(
            "Replace it by a key of your own, or by a null",
            lambda folder: encode(folder, pd.DataFrame({"item_id": [2.0, np.inf]})),
            [
                lambda folder: encode(folder, pd.DataFrame({"item_id": [2.0, -1.0]})),
                lambda folder: encode(folder, pd.DataFrame({"item_id": [2.0, np.nan]})),
            ],
        ),
        Entry(
            "expected numbers, strings, bytes",
            lambda folder: encode(folder, as_object([1 + 2j, 3j])),
            [lambda folder: encode(folder, as_object([str(1 + 2j), str(3j)]))],
        ),
        Entry(
            "Transform the kind of data that the workflow was fitted on",
            lambda folder: other_keys(folder, [1, 2]),
            [lambda folder: other_keys(folder, ["tea", "unheard of"])],
        ),
    ],
    "ops.stored_operator": [
        Entry(
            "Expected one vocabulary of each name",
            lambda folder: same_name(folder, one_operator=True),
            [
                lambda folder: same_name(folder, one_operator=False),
            ],
        ),
        Entry(
            "Remove those that no running process",
            lambda folder: many_fits(folder, clear=False),
            [lambda folder: many_fits(folder, clear=True)],
        ),
    ],
    "ops.nvtabular_compat": [
        Entry("Install nvtabular 23.6 or 23.8", excepted="it says to install something"),
    ],
    "store.stock_files": [
        Entry(
            "was the folder moved or removed",
            lambda folder: audited(folder, os.remove),
            AUDIT_CURES,
        ),
        Entry(
            "as vocabs= leaves them",
            lambda folder: audited(folder, replaced(item_id=["tea", "milk", "jam"])),
            AUDIT_CURES,
        ),
        Entry(
            "whose ids the encoder shifts",
            lambda folder: audited(
                folder,
                replaced(item_id=["tea"], item_id_size=[9], index=pd.RangeIndex(5, 6)),
            ),
            AUDIT_CURES,
        ),
    ],
}
