"""Messages of `ops` and their advice, followed."""

import operator
import shutil
import warnings
from dataclasses import replace

import pandas as pd
import pytest
from nvtabular import Workflow, ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder
from merlin_popsampler.cli.column_report import read_column_report
from merlin_popsampler.store import artifact
from tests.messages.things import data, encoder, frame, workflow
from tests.support.messages import Entry
from tests.support.workflow_helpers import dataset, encode, fitted, forget_vocabularies, saved

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
        return read_column_report(path).item_counts


def with_counts(folder, of):
    saved(["tea", "tea", "jam"], folder / "a")
    saved(["tea", "jam", "jam", "rye"], folder / "b")
    counts = next((folder / of / "fit").rglob("popularity.item_id.parquet"))
    return read_column_report(str(folder / "a" / "data"), counts_path=str(counts))


def a_file(folder):
    (folder / "file").write_text("")
    return folder / "file"


def with_file(folder, name):
    """With a counts file that is none: not there, cut short, or one of keys."""
    saved(["tea", "tea", "jam"], folder / "a")
    (folder / "cut.parquet").write_bytes(b"PAR1")
    frame().to_parquet(folder / "keys.parquet")
    return read_column_report(str(folder / "a" / "data"), counts_path=str(folder / name))


def transformed(folder, change):
    """What a workflow makes of data whose vocabulary somebody has changed since the fit."""
    made = workflow(folder)
    for file in (folder / "fit").rglob("unique.*"):
        change(file)
    forget_vocabularies()
    return made.transform(dataset(frame(), 1)).compute()


def on_two_machines(folder, seen_by_the_worker):
    """A fit whose tasks see a place under another name than the process that asks for them."""
    write = artifact.write

    def elsewhere(place, *arguments):
        return write(replace(place, root=seen_by_the_worker(place.root)), *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifact, "write", elsewhere)
        return workflow(folder)


def saved_and_loaded(folder):
    workflow(folder).save(str(folder / "saved"))
    for file in (folder / "fit").rglob("unique.*"):
        file.unlink()
    forget_vocabularies()
    loaded = Workflow.load(str(folder / "saved"))
    return loaded.transform(dataset(frame(), 1)).compute()


def with_manifest(folder, text):
    """An out_path with a fit whose manifest says something else; None removes it and fits again."""
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


def moved(ids):
    return ids + 1


def longer(words):
    return words + "!"


def stock_joint(folder, **options):
    node = [["a", "b"]] >> ops.Categorify(out_path=str(folder / "fit"))
    return ordered(folder, node, PAIRS, on_violation="remap", **options)


def torn(folder, columns, pairs=(("a", "b"),)):
    """Of a joint vocabulary, or of one for each, some columns through an order that renumbers."""
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
    """Two vocabularies of one name, each column with a name of its own."""
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
            "Change keys and repeat rows before the encoder",
            lambda folder: ordered(folder, ["item_id"] >> encoder(folder) >> ops.LambdaOp(moved)),
            [
                lambda folder: ordered(
                    folder, ["item_id"] >> ops.LambdaOp(longer) >> encoder(folder)
                ),
                lambda folder: ordered(
                    folder, ["item_id"] >> encoder(folder), pd.concat([frame(), frame()])
                ),
                lambda folder: ordered(folder, ["item_id"] >> encoder(folder), frame()[:8]),
            ],
        ),
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
            [lambda folder: stock_joint(folder, groups=[["a", "b"]])],
        ),
        Entry(
            "Pass groups=",
            stock_joint,
            [lambda folder: stock_joint(folder, groups=[["a", "b"]])],
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
            [
                lambda folder: measured(data(folder)),
                lambda folder: measured(counted_data(folder)),
            ],
        ),
        Entry(
            "Pass the folder that",
            lambda folder: read_column_report(str(folder)),
            [
                lambda folder: read_column_report(data(folder)),
                lambda folder: read_column_report(str(saved(list("aab"), folder) / "workflow")),
            ],
        ),
        Entry(
            "Loading NVTabular",
            lambda folder: read_column_report(saved_pair(folder)),
            [lambda folder: read_column_report(saved_pair(folder), "a")],
        ),
        Entry(
            "Pass one of these names as column",
            lambda folder: read_column_report(saved_pair(folder, workflow_too=False)),
            [lambda folder: read_column_report(saved_pair(folder, workflow_too=False), "b")],
        ),
        Entry(
            "expected the counts that its schema was made from",
            lambda folder: with_counts(folder, of="b"),
            [lambda folder: with_counts(folder, of="a")],
        ),
    ],
    "store.filesystem": [
        Entry(
            "Name the folder without '::'",
            lambda folder: encode(PAIRS, ["a"], f"file://{folder}/x::1"),
            [
                lambda folder: encode(PAIRS, ["a"], f"file://{folder}/x"),
                lambda folder: encode(PAIRS, ["a"], f"{folder}/x::1"),
            ],
        ),
        Entry(
            "Pass a folder of yours",
            lambda folder: encode(PAIRS, ["a"], str(a_file(folder))),
            [lambda folder: encode(PAIRS, ["a"], str(a_file(folder).parent / "made"))],
        ),
        Entry(
            "Name the place where it is now",
            lambda folder: with_file(folder, "nothing.parquet"),
            [lambda folder: with_counts(folder, of="a")],
        ),
        Entry(
            "Was it cut short, or written over? Fit again.",
            lambda folder: with_file(folder, "cut.parquet"),
            [lambda folder: with_counts(folder, of="a")],
        ),
    ],
    "store.counts_file": [
        Entry(
            "Expected a counts file",
            lambda folder: with_file(folder, "keys.parquet"),
            [lambda folder: with_counts(folder, of="a")],
        ),
    ],
    "store.artifact": [
        Entry(
            "Pass an out_path that this process and all workers share",
            lambda folder: on_two_machines(folder, lambda place: place + "/of the worker"),
            [lambda folder: on_two_machines(folder, lambda place: place)],
        ),
        Entry(
            "Received: no file",
            lambda folder: transformed(folder, lambda file: file.unlink()),
            [saved_and_loaded, lambda folder: transformed(folder, lambda _: None)],
        ),
        Entry(
            "Received: one of digest",
            lambda folder: transformed(folder, lambda file: file.write_bytes(b"other")),
            [saved_and_loaded, lambda folder: transformed(folder, lambda _: None)],
        ),
        Entry(
            "Remove that folder, and fit again",
            lambda folder: read_column_report(with_manifest(folder, "{}")),
            [
                lambda folder: read_column_report(with_manifest(folder, None)),
            ],
        ),
    ],
    "ops.column_options": [
        Entry(
            "Leave it out for the default",
            lambda _: FrequencyCategorify(num_buckets=-1),
            [lambda _: FrequencyCategorify()],
        ),
        Entry(
            "Give it under the group's name",
            lambda folder: joint(folder, freq_threshold={"a": 1, "b": 2}),
            [lambda folder: joint(folder, freq_threshold={"a_b": 2})],
        ),
    ],
}
