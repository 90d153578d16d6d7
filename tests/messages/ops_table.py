"""Triggers messages of `ops`, and follows their advice."""

import operator
import shutil
import warnings

import pandas as pd
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder
from merlin_popsampler.cli.column_report import read_column_report
from tests.messages.things import data, encoder, frame, workflow
from tests.support.messages import Entry
from tests.support.workflow_helpers import dataset, encode, fitted, forget_vocabularies, saved

PAIRS = pd.DataFrame({"a": list("xxy"), "b": list("yzz"), "item_id": list("tuv")})


def saved_pair(folder, workflow_too=True):
    """Saves a workflow with vocabularies a and b, of which a is tagged."""
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
        return read_column_report(path).item_counts


def with_file(folder, name):
    """Reports with a wrong counts file: missing, cut short, or one of keys."""
    saved(["tea", "tea", "jam"], folder / "a")
    (folder / "cut.parquet").write_bytes(b"PAR1")
    frame().to_parquet(folder / "keys.parquet")
    return read_column_report(str(folder / "a" / "data"), counts_path=str(folder / name))


def transformed(folder, change):
    """Transforms data after the vocabulary was changed."""
    made = workflow(folder)
    for file in (folder / "fit").rglob("unique.*"):
        change(file)
    forget_vocabularies()
    return made.transform(dataset(frame(), 1)).compute()


def with_manifest(folder, text):
    """Writes a fit with a wrong manifest; None removes the manifest and fits again."""
    workflow(folder)
    (manifest,) = (folder / "fit").rglob("manifest.json")
    if text is None:
        shutil.rmtree(manifest.parent)
        workflow(folder)
    else:
        manifest.write_text(text)
    return str(folder / "fit")


def joint(folder, **options):
    return encode(PAIRS, [["a", "b"]], str(folder), **options)


def ordered(folder, node, given=None, **options):
    order = FrequencyOrder(out_path=str(folder / "order"), **options)
    return fitted(node >> order, dataset(frame() if given is None else given, 1))


def longer(words):
    return words + "!"


def stock_joint(folder, **options):
    node = [["a", "b"]] >> ops.Categorify(out_path=str(folder / "fit"))
    return ordered(folder, node, PAIRS, on_violation="remap", **options)


def torn(folder, columns, pairs=(("a", "b"),)):
    """Renumbers some columns of a joint vocabulary, or of separate ones."""
    pairs = [list(names) if isinstance(names, tuple) else names for names in pairs]
    ids = pairs >> encoder(folder)
    kept = ids + ["keep"] >> ops.Filter(lambda df: df[df["keep"]])
    given = pd.DataFrame({"a": list("pppqqrrrrs"), "b": list("qqrrqppstt")})
    given["keep"] = [True] * 6 + [False] * 3 + [True]
    rest = [name for name in ("a", "b") if name not in columns]
    order = FrequencyOrder(on_violation="remap", out_path=str(folder / "order"))
    node = kept[columns] >> order
    return fitted(node + kept[rest] if rest else node, dataset(given, 1))


def branches(folder):
    """Fits two vocabularies of one name, for columns of different names."""
    plain = ["a"] >> encoder(folder / "a") >> ops.Rename(postfix="_1")
    other = ["a"] >> ops.LambdaOp(longer) >> encoder(folder / "b") >> ops.Rename(postfix="_2")
    return plain, other


def orders_of_their_own(folder):
    nodes = [
        branch >> FrequencyOrder(out_path=str(folder / f"order {number}"))
        for number, branch in enumerate(branches(folder))
    ]
    return fitted(nodes[0] + nodes[1], dataset(PAIRS, 1))


TABLE = {
    "ops.upstream": [
        Entry(
            "Pass all of them through this FrequencyOrder",
            lambda folder: torn(folder, ["b"]),
            [
                lambda folder: torn(folder, ["a", "b"]),
                lambda folder: torn(folder, ["b"], pairs=["a", "b"]),
            ],
        ),
        Entry(
            "Name each jointly encoded column once",
            lambda folder: stock_joint(folder, groups=[["a", "b"], ["b", "a"]]),
        ),
        Entry(
            "a FrequencyOrder of its own",
            lambda folder: ordered(folder, operator.add(*branches(folder)), PAIRS),
            [orders_of_their_own],
        ),
    ],
    "cli.column_report": [
        Entry(
            "expected a popularity that was measured",
            lambda folder: measured(stock_data(folder)),
            [lambda folder: measured(data(folder)), lambda folder: measured(counted_data(folder))],
        ),
        Entry(
            "Pass one of these names as column",
            lambda folder: read_column_report(saved_pair(folder, workflow_too=False)),
            [lambda folder: read_column_report(saved_pair(folder, workflow_too=False), "b")],
        ),
    ],
    "store.filesystem": [
        Entry("Pass its new path", lambda folder: with_file(folder, "nothing.parquet"))
    ],
    "store.counts_file": [
        Entry("Expected a counts file", lambda folder: with_file(folder, "keys.parquet"))
    ],
    "store.artifact": [
        Entry(
            "Received: another file",
            lambda folder: transformed(folder, lambda file: file.write_bytes(b"other")),
        ),
        Entry(
            "Remove that folder, and fit again",
            lambda folder: read_column_report(with_manifest(folder, "{}")),
        ),
    ],
    "ops.column_options": [
        Entry("Leave it out for the default", lambda _: FrequencyCategorify(num_buckets=-1)),
        Entry(
            "Give it under the group's name",
            lambda folder: joint(folder, freq_threshold={"a": 1, "b": 2}),
            [lambda folder: joint(folder, freq_threshold={"a": 1, "b": 2, "a_b": 1})],
        ),
        Entry(
            "Correct the names, or give these columns None",
            lambda folder: joint(folder, freq_threshold={"c": 1}),
            [
                lambda folder: joint(folder, freq_threshold={"a": 1}),
                lambda folder: joint(folder, freq_threshold={"c": 1, "a": None}),
            ],
        ),
    ],
}
