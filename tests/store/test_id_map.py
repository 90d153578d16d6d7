"""The new id of each old id, compared with a plain Python dict from key to id.

The oracle encodes each distinct key with both workflows, one value at a time, and pairs the ids: it
reads no file of a fit.
"""

import datetime as dt
import decimal

import numpy as np
import nvtabular as nvt
import pandas as pd
import pytest
from merlin.schema import ColumnSchema, Schema, Tags
from nvtabular import ops

from merlin_popsampler import (
    FrequencyCategorify,
    FrequencyOrder,
    PopSamplerError,
    id_map,
    read_keys,
)
from tests.support.workflow_helpers import dataset, fitted

COLUMN = "item_id"
OLD = ["b"] * 4 + ["a"] * 3 + ["c"] * 2 + ["gone"] * 2 + [None, "z"]
NEW = ["c"] * 6 + ["new"] * 4 + ["a"] * 3 + ["z"] * 2 + ["b"]


def day(number):
    return dt.date(2024, 1, number)


KEYS = {
    "strings": (OLD, NEW),
    "integers": ([7, 7, 7, 5, 5, 2, -3], [2, 2, 2, 5, 5, 9, -3, -3, -3, -3]),
    "large integers": ([2**60, 2**60, 2**60 + 1], [2**60 + 1, 2**60 + 1, 2**60]),
    "integers, floats": ([3, 3, 2, 2, 2, 1], [2.0, 2.5, 2.5, 3.0, 3.0, 3.0]),
    "floats, integers with nulls": ([0.5, 0.5, 4.0], [4, 4, None, 1]),
    "signed, unsigned": ([2**63 - 1, 2**63 - 1, 5], [2**63 + 5, 2**63 + 5, 5, 5, 5, 2**63 - 1]),
    "bytes": ([b"\xff", b"\xff", b"a"], [b"a", b"a", b"\xff", b"b"]),
    "dates": ([day(1), day(1), day(2)], [day(2), day(2), day(1), day(3)]),
    "times": ([dt.time(1), dt.time(1), dt.time(2)], [dt.time(2), dt.time(2), dt.time(1)]),
    "instants": (
        list(pd.to_datetime(["2024-01-01", "2024-01-01", "2024-01-02"])),
        list(pd.to_datetime(["2024-01-02", "2024-01-02", "2024-01-01"])),
    ),
    "decimals": (
        [decimal.Decimal(t) for t in ("1.5", "1.5", "2")],
        [decimal.Decimal(t) for t in ("2.000", "2.000", "1.50", "123456.5")],
    ),
    "bools": ([True, True, False], [False, False, True]),
    "lists": ([["a", "b"], ["b"], ["c"], []], [["c", "c", "d"], ["b", "d"], ["d"], None]),
    "none in common": (["a"], ["b"]),
    "nulls alone": ([None, None], ["a"]),
}


def workflow(keys, folder, **options):
    node = [COLUMN] >> FrequencyCategorify(out_path=str(folder), **options) >> ops.TagAsItemID()
    return fitted(node, dataset(pd.DataFrame({COLUMN: pd.Series(keys, dtype=object)}), 2))


def flat(keys):
    found = [key for row in keys for key in (row if isinstance(row, list) else [row])]
    return list(dict.fromkeys(key for key in found if key is not None))


def encoded(flow, keys, lists):
    """Encodes each key alone."""
    frame = pd.DataFrame({COLUMN: pd.Series([[k] if lists else k for k in keys], dtype=object)})
    ids = flow.transform(dataset(frame, 1)).compute()[COLUMN]
    return [int(row[0]) if lists else int(row) for row in ids]


def expected(old, new, keys, lists):
    """Returns old id -> new id of every key in both fits, including reserved ids."""
    pairs = {0: 0, 1: 1, 2: 2}
    both = zip(encoded(old, keys, lists), encoded(new, keys, lists))
    pairs.update((a, b) for a, b in both if a > 2 and b > 2)
    return pairs


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("split_out", [1, 3])
def test_ids_follow_their_keys(name, split_out, tmp_path):
    keys = KEYS[name]
    old, new = (
        workflow(side, tmp_path / place, split_out=split_out)
        for place, side in zip(("old", "new"), keys)
    )
    found = id_map(old, new)
    common = [key for key in flat(keys[0]) if key in flat(keys[1])]
    pairs = expected(old, new, common, name == "lists") if common else {0: 0, 1: 1, 2: 2}
    assert {a: b for a, b in enumerate(found.new_ids.tolist()) if b >= 0} == pairs
    assert {b: a for b, a in enumerate(found.old_ids.tolist()) if a >= 0} == {
        b: a for a, b in pairs.items()
    }
    assert len(found.new_ids) == 3 + len(flat(keys[0]))
    assert len(found.old_ids) == 3 + len(flat(keys[1]))
    assert len(pairs) == 3 + len(common)


SOURCES = {
    "workflow": lambda flow, folder: flow,
    "saved workflow": lambda flow, folder: flow.save(str(folder / "saved")) or folder / "saved",
    "loaded workflow": lambda flow, folder: (
        flow.save(str(folder / "saved")) or nvt.Workflow.load(str(folder / "saved"))
    ),
    "out_path": lambda flow, folder: str(folder),
    "schema": lambda flow, folder: flow.output_schema,
}


@pytest.mark.parametrize("name", SOURCES)
def test_wherever_the_fit_is(name, tmp_path):
    old, new = workflow(OLD, tmp_path / "old"), workflow(NEW, tmp_path / "new")
    reference = id_map(old, new)
    one, other = (
        SOURCES[name](flow, tmp_path / place) for flow, place in ((old, "old"), (new, "new"))
    )
    assert id_map(one, other).new_ids.tolist() == reference.new_ids.tolist()
    assert reference.new_ids.tolist() == [0, 1, 2, 7, 5, 3, -1, 6]


def test_a_data_set_is_mapped_by_its_schema(tmp_path):
    old, new = workflow(OLD, tmp_path / "old"), workflow(NEW, tmp_path / "new")
    for flow, name in ((old, "monday"), (new, "tuesday")):
        frame = pd.DataFrame({COLUMN: ["a"]})
        flow.transform(dataset(frame, 1)).to_parquet(str(tmp_path / name))
    found = id_map(str(tmp_path / "monday"), tmp_path / "tuesday")
    assert found.new_ids.tolist() == id_map(old, new).new_ids.tolist()


@pytest.mark.parametrize(("old", "new", "kept"), [(1, 3, 2), (3, 1, 2), (3, 3, 5)])
def test_unknown_keys_keep_as_many_ids(old, new, kept, tmp_path):
    flows = [
        workflow(["a"], tmp_path / str(place), num_buckets=buckets if buckets > 1 else None)
        for place, buckets in enumerate((old, new))
    ]
    found = id_map(*flows).new_ids.tolist()
    assert found == [*range(kept), *[-1] * (2 + old - kept), 2 + new]


COMBINATIONS = {
    "numbers": ([1, 1, 1, 2, 2, None], [2.0, 2.0, 1.0, None, None, None, 3.0]),
    "bools": ([True, True, True, False, False, None], [False, False, True, None, None, None, True]),
    "bools, later nulls": (
        [True, True, True, False, False, False],
        [False, False, True, None, None, None, False],
    ),
    "bools, earlier nulls": (
        [True, True, True, False, False, None],
        [False, False, True, *[False] * 4],
    ),
    "bools, nulls alone": ([None] * 6, [True, False, None, None, None, None, True]),
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_combinations_are_found_as_a_whole(name, tmp_path):
    frames = [
        pd.DataFrame({"a": pd.Series(keys, dtype=object), "b": list(others)})
        for keys, others in zip(COMBINATIONS[name], ("xxyxyx", "yyxxxxx"))
    ]
    flows = []
    for place, frame in enumerate(frames):
        encoder = FrequencyCategorify(out_path=str(tmp_path / str(place)), encode_type="combo")
        flows.append(fitted([["a", "b"]] >> encoder, dataset(frame, 2)))
    found = id_map(*flows, column="a_b")
    ids = [flow.transform(dataset(frames[0], 1)).compute()["a_b"].tolist() for flow in flows]
    pairs = {a: b for a, b in zip(*ids) if b > 2}
    assert {a: b for a, b in enumerate(found.new_ids.tolist()) if b > 2} == pairs
    rows = [set(zip(*frame.astype(object).fillna("null").values.T)) for frame in frames]
    assert len(pairs) == len(rows[0] & rows[1]) > 0


def test_ids_that_were_put_in_order_afterwards(tmp_path):
    def ordered(keys, folder, encoder):
        node = [COLUMN] >> encoder
        order = FrequencyOrder(on_violation="remap", out_path=str(folder))
        frame = pd.DataFrame({COLUMN: keys})
        return fitted(node >> ops.TagAsItemID() >> order, dataset(frame, 1))

    keys = [list("aabccc"), list("ccdda") + ["b"] * 3]
    flows = [
        ordered(each, tmp_path / str(place), ops.Categorify(out_path=str(tmp_path / str(place))))
        for place, each in enumerate(keys)
    ]
    found = id_map(*flows)
    pairs = expected(*flows, list("abc"), lists=False)
    assert {a: b for a, b in enumerate(found.new_ids.tolist()) if b > 2} == {
        a: b for a, b in pairs.items() if b > 2
    }


def test_stock_categorify_will_do(tmp_path):
    frames = [pd.DataFrame({COLUMN: list(keys)}) for keys in ("aabccc", "ccdda")]
    paths = []
    for place, frame in enumerate(frames):
        path = str(tmp_path / str(place))
        node = [COLUMN] >> ops.Categorify(out_path=path) >> ops.TagAsItemID()
        paths.append(fitted(node, dataset(frame, 1)))
    with pytest.warns(UserWarning, match="no proof"):
        found = id_map(*paths)
    pairs = expected(*paths, list("ac"), lists=False)
    assert {a: b for a, b in enumerate(found.new_ids.tolist()) if b > 2} == {
        a: b for a, b in pairs.items() if b > 2
    }


@pytest.mark.parametrize("order", [False, True])
def test_a_loaded_workflow_of_stock_categorify_has_its_own_keys(order, tmp_path):
    """Its schema still names the file in out_path, which a later fit overwrites."""
    flows = []
    for keys in (list("aabccc"), list("ddddeef")):
        node = [COLUMN] >> ops.Categorify(out_path=str(tmp_path)) >> ops.TagAsItemID()
        if order:
            node = node >> FrequencyOrder(out_path=str(tmp_path / "order"))
        flows.append(fitted(node, dataset(pd.DataFrame({COLUMN: keys}), 1)))
        if len(flows) == 1:
            flows[0].save(str(tmp_path / "saved"))
    loaded = nvt.Workflow.load(str(tmp_path / "saved"))
    assert list(encoded(loaded, list("cab"), lists=False)) == [3, 4, 5]
    found = read_keys(loaded, COLUMN)
    assert found[COLUMN].to_dict() == {3: "c", 4: "a", 5: "b"}
    assert id_map(loaded, flows[1], COLUMN).new_ids.tolist()[3:] == [-1, -1, -1]
    (tmp_path / "saved" / "categories" / f"unique.{COLUMN}.parquet").unlink()
    with pytest.raises(PopSamplerError, match="whose keys can be read|nothing at"):
        read_keys(loaded, COLUMN)


def test_parts_are_read_one_by_one(tmp_path, monkeypatch):
    from merlin_popsampler.store import id_map as module

    rng = np.random.default_rng(3)
    old, new = (
        workflow(rng.integers(0, 400, 3000), tmp_path / name, split_out=4)
        for name in ("old", "new")
    )
    lengths = []
    original = module.positions

    def noted(asked, known, column):
        lengths.append(max(len(asked), len(known)))
        return original(asked, known, column)

    monkeypatch.setattr(module, "positions", noted)
    id_map(old, new)
    assert max(lengths) < 250


# ------------------------------------------------------------------ refusals


def test_keys_of_two_kinds_are_refused(tmp_path):
    old, new = workflow([1, 2], tmp_path / "old"), workflow(["1", "2"], tmp_path / "new")
    with pytest.raises(PopSamplerError, match="keys of one type in both fits"):
        id_map(old, new)


def test_a_combination_and_a_single_key_are_refused(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": [1, 2]})
    one = fitted(["a"] >> FrequencyCategorify(out_path=str(tmp_path / "1")), dataset(frame, 1))
    both = FrequencyCategorify(out_path=str(tmp_path / "2"), encode_type="combo")
    two = fitted([["a", "b"]] >> both >> ops.Rename(f=lambda _: "a"), dataset(frame, 1))
    with pytest.raises(PopSamplerError, match="same number of key columns"):
        id_map(one, two, column="a")


def test_keys_that_are_nowhere_are_refused(tmp_path):
    new = workflow(NEW, tmp_path / "new")
    hand_made = ColumnSchema(
        COLUMN,
        [Tags.ITEM_ID],
        {"cat_path": str(tmp_path / "moved"), "num_buckets": None, "domain": {"min": 0, "max": 9}},
        np.int64,
    )
    with pytest.warns(UserWarning, match="no proof"), pytest.raises(
        PopSamplerError, match="whose keys can be read"
    ):
        id_map(Schema([hand_made]), new)
    with pytest.raises(PopSamplerError, match="whose keys can be read"):
        id_map(tmp_path / "empty", new)


def test_a_folder_of_several_columns_wants_a_name(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 3]})
    fitted(["a", "b"] >> FrequencyCategorify(out_path=str(tmp_path)), dataset(frame, 1))
    with pytest.raises(PopSamplerError, match="where there are several"):
        id_map(tmp_path, tmp_path)
    assert id_map(tmp_path, tmp_path, "b").new_ids.tolist() == [0, 1, 2, 3]


def test_a_folder_names_a_joint_fit_by_all_of_its_columns(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 3]})
    flow = fitted([["a", "b"]] >> FrequencyCategorify(out_path=str(tmp_path)), dataset(frame, 1))
    with pytest.raises(PopSamplerError, match="pass the name of that fit"):
        id_map(tmp_path, flow, "a")
    assert id_map(tmp_path, tmp_path, "a_b").new_ids.tolist() == [0, 1, 2, 3, 4, 5]
    assert id_map(flow, flow, "a").new_ids.tolist() == [0, 1, 2, 3, 4, 5]


def test_files_that_were_changed_are_refused(tmp_path):
    old, new = workflow(OLD, tmp_path / "old"), workflow(NEW, tmp_path / "new")
    path = old.output_schema[COLUMN].properties["cat_path"]
    pd.DataFrame({COLUMN: ["x"]}).to_parquet(path)
    with pytest.raises(PopSamplerError, match="file that the fit wrote"):
        id_map(old, new)
