"""Tests FrequencyOrder after a joint vocabulary: all of its columns get one map, or none.

Cases: both encoders; one of three columns, two, all; a node for each; a Rename, a Groupby, a
ListSlice and a LambdaOp between; a subgraph; other columns in the node. Also: encoding in one
workflow and ordering in another; a second fit; saved and loaded workflows; combinations of columns.
"""

import numpy as np
import nvtabular as nvt
import pandas as pd
import pytest
from merlin.dag.ops.subgraph import Subgraph
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify, FrequencyOrder, FrequencyOrderError
from tests.support.workflow_helpers import dataset, fitted

KEEP = [True] * 6 + [False] * 3 + [True]
FRAME = pd.DataFrame(
    {
        "src": [1, 1, 1, 2, 2, 3, 3, 3, 3, 4],
        "dst": [2, 2, 3, 3, 2, 1, 1, 4, 5, 5],
        "via": [2, 3, 3, 3, 3, 1, 1, 1, 1, 5],
        "session": [0, 0, 1, 1, 2, 2, 3, 3, 4, 4],
        "keep": KEEP,
    }
)


def kept(tmp_path, columns=("src", "dst"), encoder=FrequencyCategorify, **options):
    """Returns ids of a joint vocabulary, whose order a filter breaks."""
    ids = [list(columns)] >> encoder(out_path=str(tmp_path / "ids"), **options)
    return ids + ["keep", "session"] >> ops.Filter(lambda df: df[df["keep"]])


def order(tmp_path, name="order", **options):
    return FrequencyOrder(on_violation="remap", out_path=str(tmp_path / name), **options)


def alone(rows, tmp_path):
    return rows["src"] + (rows["dst"] >> order(tmp_path))


def one_each(rows, tmp_path):
    return (rows["src"] >> order(tmp_path, "a")) + (rows["dst"] >> order(tmp_path, "b"))


def renamed(rows, tmp_path):
    return rows["src"] + (rows["dst"] >> ops.Rename(name="x") >> order(tmp_path))


def renamed_later(rows, tmp_path):
    return rows["src"] + (rows["dst"] >> order(tmp_path) >> ops.Rename(postfix="_x"))


def with_another(rows, tmp_path):
    return rows["src"] + (rows["dst", "session"] >> order(tmp_path))


def changed(rows, tmp_path):
    return rows["src"] + (rows["dst"] >> ops.LambdaOp(lambda ids: ids * 1) >> order(tmp_path))


def in_a_subgraph(rows, tmp_path):
    return Subgraph("ids", rows["src"] + (rows["dst"] >> order(tmp_path)))


TORN = (
    alone,
    one_each,
    renamed,
    renamed_later,
    with_another,
    changed,
    in_a_subgraph,
)


@pytest.mark.parametrize("arrangement", TORN)
def test_some_of_its_columns_are_refused(arrangement, tmp_path):
    node = arrangement(kept(tmp_path), tmp_path)
    with pytest.raises(FrequencyOrderError, match="no 'src'|no 'dst'"):
        fitted(node, dataset(FRAME, 1))


@pytest.mark.parametrize("arrangement", [alone, one_each, renamed_later, with_another, changed])
def test_some_of_its_columns_are_refused_after_stock_categorify(arrangement, tmp_path):
    """Its schema has only the name of the vocabulary, which is lost for a renamed column."""
    node = arrangement(kept(tmp_path, encoder=ops.Categorify), tmp_path)
    with pytest.raises(FrequencyOrderError, match="no 'src'|no 'dst'"):
        fitted(node, dataset(FRAME, 1))


@pytest.mark.parametrize("encoder", [FrequencyCategorify, ops.Categorify])
@pytest.mark.parametrize("columns", [["dst"], ["dst", "via"]], ids="-".join)
def test_two_of_three_are_refused(columns, encoder, tmp_path):
    rows = kept(tmp_path, ["src", "dst", "via"], encoder)
    rest = [column for column in ("src", "dst", "via") if column not in columns]
    groups = [columns] if encoder is ops.Categorify and len(columns) > 1 else None
    node = rows[rest] + (rows[columns] >> order(tmp_path, groups=groups))
    with pytest.raises(FrequencyOrderError, match=f"no '{rest[0]}"):
        fitted(node, dataset(FRAME, 1))


def one_to_one(before, after, columns):
    pairs = set()
    for column in columns:
        pairs.update(zip(before[column].explode(), after[column].explode()))
    return len(pairs) == len(dict(pairs)) == len({new for _, new in pairs})


@pytest.mark.parametrize("way", ["all", "renamed", "beside others"])
def test_all_of_its_columns_get_one_map(way, tmp_path):
    rows = kept(tmp_path)
    nodes = {
        "all": rows["src", "dst"],
        "renamed": rows["src", "dst"] >> ops.Rename(postfix="_x"),
        "beside others": rows["src", "dst", "session"],
    }
    made = fitted(nodes[way] >> order(tmp_path), dataset(FRAME, 1)).transform(FRAME)
    before = fitted(nodes[way], dataset(FRAME, 1)).transform(FRAME)
    columns = [column for column in made if column != "session"]
    assert one_to_one(before, made, columns) and not before.equals(made)


def test_sessions_of_its_columns(rng, tmp_path):
    """Lists and last items have new names, but belong to the encoder's columns."""
    keys = {name: rng.zipf(1.3, 300) % 9 for name in ("src", "dst")}
    frame = pd.DataFrame({**keys, "session": np.arange(300) // 6})
    ids = [["src", "dst"]] >> FrequencyCategorify(out_path=str(tmp_path / "ids"))
    aggregates = {"src": ["list", "last"], "dst": ["list", "last"]}
    grouped = ids + ["session"] >> ops.Groupby(
        groupby_cols=["session"], aggs=aggregates, name_sep="-"
    )
    lists, last = ["src-list", "dst-list"], ["src-last", "dst-last"]
    cut = grouped["dst-list"] >> ops.ListSlice(-2)
    for torn in (grouped["dst-last"], grouped["src-list", "src-last"], cut):
        with pytest.raises(FrequencyOrderError, match="no 'src'|no 'dst'"):
            fitted(torn >> order(tmp_path), dataset(frame, 1))
    for whole in (last, ["src-list", "dst-last"], [*lists, *last]):
        made = fitted(grouped[whole] >> order(tmp_path), dataset(frame, 1)).transform(frame)
        before = fitted(grouped[whole], dataset(frame, 1)).transform(frame)
        assert one_to_one(before, made, whole)


def test_encoded_in_one_workflow_and_ordered_in_another(tmp_path):
    """The schema of the written data shows it."""
    encoded = fitted(kept(tmp_path), dataset(FRAME, 1)).transform(dataset(FRAME, 1))
    encoded.to_parquet(str(tmp_path / "data"))
    data = nvt.Dataset(str(tmp_path / "data"), engine="parquet", cpu=True)
    with pytest.raises(FrequencyOrderError, match="no 'src'"):
        fitted(["dst"] >> order(tmp_path), data)
    fitted(["src", "dst"] >> order(tmp_path, "both"), data)


def test_a_second_fit_and_a_saved_workflow(tmp_path):
    """The first fit need not renumber. Later ones are refused, and the first stays in use."""
    alike = FRAME.assign(keep=True, dst=FRAME["src"])
    workflow = fitted(alone(kept(tmp_path), tmp_path), dataset(alike, 1))
    workflow.save(str(tmp_path / "saved"))
    for one in (workflow, nvt.Workflow.load(str(tmp_path / "saved"))):
        with pytest.raises(FrequencyOrderError, match="no 'src'"):
            one.fit(dataset(FRAME, 1))


def test_vocabularies_of_one_column_are_not_joint(tmp_path):
    """Cases: renamed columns, combinations, and names that contain another name."""
    frame = FRAME.rename(columns={"src": "item_id"})
    for encoder in (FrequencyCategorify, ops.Categorify):
        ids = ["item_id"] >> encoder(out_path=str(tmp_path / "ids"))
        rows = ids + ["keep"] >> ops.Filter(lambda df: df[df["keep"]])
        for name in ("x", "item")[: 2 if encoder is FrequencyCategorify else 1]:
            node = rows["item_id"] >> ops.Rename(name=name) >> order(tmp_path, name)
            fitted(node, dataset(frame, 1))
    rows = kept(tmp_path, encode_type="combo")
    fitted(rows["src_dst"] >> order(tmp_path, "combo"), dataset(FRAME, 1))
    ids = ["item_id"] >> ops.Categorify(out_path=str(tmp_path / "ids"))
    rows = ids + ["keep"] >> ops.Filter(lambda df: df[df["keep"]])
    rows = rows["item_id"] >> ops.Rename(name="item")
    with pytest.raises(FrequencyOrderError, match=r"no 'id'.*groups=\[\['item'\]\]"):
        fitted(rows >> order(tmp_path), dataset(frame, 1))
    fitted(rows >> order(tmp_path, "asked", groups=[["item"]]), dataset(frame, 1))
