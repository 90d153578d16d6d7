"""Compares refits with `base`, which keep their ids, with dicts from value_counts."""

import datetime as dt
import decimal
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import nvtabular as nvt
import pandas as pd
import pytest
from nvtabular import ops

from merlin_popsampler import (
    FrequencyCategorify,
    FrequencyOrder,
    FrequencyOrderError,
    PopSamplerError,
    SchemaError,
    id_map,
    read_popularity,
)
from merlin_popsampler.contract.ranks_file import read_ids_by_rank
from merlin_popsampler.contract.sampler_settings import (
    sampler_kwargs_from_counts,
    sampler_kwargs_from_schema,
)
from tests.support.processes import OPERATORS, ROOT
from tests.support.workflow_helpers import (
    bytes_below,
    dataset,
    fit_folders,
    fitted,
    forget_vocabularies,
    transformed_elsewhere,
)

pytestmark = pytest.mark.filterwarnings("ignore")
COLUMN = "item_id"


def workflow(keys, folder, npartitions=2, **options):
    node = [COLUMN] >> FrequencyCategorify(out_path=str(folder), **options) >> ops.TagAsItemID()
    frame = pd.DataFrame({COLUMN: pd.Series(keys, dtype=object)})
    return fitted(node, dataset(frame, npartitions))


def flat(keys):
    found = [key for row in keys for key in (row if isinstance(row, list) else [row])]
    return [key for key in found if isinstance(key, tuple) or not pd.isna(key)]


def expected_after(earlier, keys, kept=lambda new: new):
    """Returns the expected ids: earlier keys, then new keys by count, ties by key."""
    counts = pd.Series(flat(keys), dtype=object).value_counts()
    new = [(key, size) for key, size in counts.items() if key not in earlier]
    new = kept(sorted(new, key=lambda item: (-item[1], item[0])))
    following = max(earlier.values(), default=2) + 1
    return {**earlier, **{key: following + place for place, (key, _) in enumerate(new)}}


def encoded(flow, keys, lists=False):
    """Encodes each key alone, from the files."""
    forget_vocabularies()
    frame = pd.DataFrame({COLUMN: pd.Series([[k] if lists else k for k in keys], dtype=object)})
    ids = flow.transform(dataset(frame, 1)).compute()[COLUMN]
    return [int(row[0]) if lists else int(row) for row in ids]


def check_contract(flow, ids, keys):
    """Checks counts, ranks and steps of the schema with the expected ids and pandas' counts."""
    found = read_popularity(flow)
    counts = pd.Series(flat(keys), dtype=object).map(ids).value_counts()
    counts = counts[counts.index >= 3]
    by_rank = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    assert read_ids_by_rank(found, COLUMN).tolist() == [item for item, _ in by_rank]
    assert (found.min_id, found.max_id) == (3, max(ids.values(), default=2))
    heights = np.repeat(found.curve.heights, found.curve.lengths)
    assert heights.tolist() == [size for _, size in by_rank]


def day(number):
    return dt.date(2024, 1, number)


KEYS = {
    "strings": (list("bbbaaccz") + [None], list("ccczzznnnmaa"), list("mmmqb") + [None]),
    "integers": ([7, 7, 7, 5, 5, 2, -3], [2, 2, 9, 9, 9, -3], [11, 9, 9, 7]),
    "integers, floats": ([3, 3, 2, 2, 2, 1], [2.0, 2.5, 2.5, 3.0], [4, 4, 2.5, 1]),
    "integers with nulls": ([4, 4, None, 1], [1, None, 9, 9], [9.0, 4.0, 3.0]),
    "signed, unsigned": ([2**63 - 1, 5, 5], [2**63 + 5, 2**63 + 5, 5], [2**63 + 5, 7]),
    "bytes": ([b"\xff", b"\xff", b"a"], [b"a", b"b"], [b"c", b"\xff"]),
    "dates": ([day(1), day(1), day(2)], [day(2), day(3)], [day(4), day(1)]),
    "times": ([dt.time(1), dt.time(1), dt.time(2)], [dt.time(3)], [dt.time(4), dt.time(1)]),
    "instants": tuple(
        list(pd.to_datetime([f"2024-01-0{number}" for number in days]))
        for days in ([1, 1, 2], [3, 3, 2], [4, 1])
    ),
    "decimals": tuple(
        [decimal.Decimal(text) for text in texts]
        for texts in (("1.5", "1.5", "2"), ("2.00", "3.125"), ("123456.5", "1.50", "3.125"))
    ),
    "bools": ([True, True], [False, False, True], [False]),
    "lists": ([["a", "b"], [], ["b"]], [["c", "c"], None, ["b"]], [["d"], ["c", "a"]]),
    "none in common": (["a"], ["b"], ["c"]),
    "nulls first": ([None, None], ["a", "a", "b"], ["b"]),
    "nulls later": (["a", "a", "b"], [None, None], ["b", "c"]),
}


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("split_out", [1, 3])
def test_three_refits_in_a_row(name, split_out, tmp_path):
    flow, ids = None, {}
    for number, keys in enumerate(KEYS[name]):
        flow = workflow(keys, tmp_path / str(number), base=flow, split_out=split_out)
        ids = expected_after(ids, keys)
        known = list(ids)
        assert encoded(flow, known, name == "lists") == list(ids.values())
        if number:
            check_contract(flow, ids, keys)


def test_many_keys_in_any_partitioning(tmp_path):
    rng = np.random.default_rng(17)
    days = [(rng.zipf(1.3, 4000) * shift) % 3001 for shift in (1, 3, 7)]
    ids, base = {}, None
    for number, keys in enumerate(days):
        ids = expected_after(ids, keys.tolist())
        seen = set()
        for npartitions, split_out in ((1, 1), (5, 1), (3, 4)):
            folder = tmp_path / f"{number} {npartitions} {split_out}"
            flow = workflow(keys, folder, npartitions, base=base, split_out=split_out)
            asked = list(ids)
            assert encoded(flow, asked) == list(ids.values())
            if number:
                check_contract(flow, ids, keys.tolist())
            fields = dict(flow.output_schema[COLUMN].properties["popularity"])
            seen.add(json.dumps({key: fields[key] for key in fields if key != "ranks_path"}))
        assert len(seen) == 1
        base = flow


def pairs(frame):
    """Returns rows as tuples that sort nulls first."""
    return list(zip(frame["a"].astype(float).fillna(float("-inf")), frame["b"]))


COMBINATIONS = {
    "numbers": ([1, 1, 1, 2, 2, None], [2.0, 2.0, 1.0, None, 3.0, 3.0, 3.0], [1, 4, 4, 3]),
    "bools": ([True] * 5 + [None], [False, None, None, True, None, None, None], [False] * 4),
    "bools, later nulls": ([True] * 5 + [False], [None] * 7, [True, None, False, False]),
    "bools, nulls first": ([None] * 6, [True, True, False, *[None] * 4], [True, True, None, False]),
    "bools without nulls": ([True] * 6, [False] * 7, [True, False, True, True]),
}


@pytest.mark.parametrize("name", COMBINATIONS)
@pytest.mark.parametrize("split_out", [1, 2])
def test_combinations_keep_their_ids(name, split_out, tmp_path):
    frames = [
        pd.DataFrame({"a": pd.Series(keys, dtype=object), "b": list(others)})
        for keys, others in zip(COMBINATIONS[name], ("xxyxyx", "yyxxxxx", "xxxx"))
    ]
    base, ids = None, {}
    for number, frame in enumerate(frames):
        encoder = FrequencyCategorify(
            out_path=str(tmp_path / str(number)),
            encode_type="combo",
            base=base,
            split_out=split_out,
        )
        base = fitted([["a", "b"]] >> encoder, dataset(frame, 2))
        ids = expected_after(ids, pairs(frame))
        for earlier in frames[: number + 1]:
            found = base.transform(dataset(earlier, 1)).compute()["a_b"].tolist()
            assert found == [ids[key] for key in pairs(earlier)]


def test_joint_columns_keep_their_ids(tmp_path):
    frames = [
        pd.DataFrame({"a": list("xxxy"), "b": list("yzzz")}),
        pd.DataFrame({"a": list("wwww"), "b": list("vvzx")}),
    ]
    base, ids = None, {}
    for number, frame in enumerate(frames):
        encoder = FrequencyCategorify(
            out_path=str(tmp_path / str(number)), encode_type="joint", base=base
        )
        base = fitted([["a", "b"]] >> encoder, dataset(frame, 2))
        ids = expected_after(ids, [*frame["a"], *frame["b"]])
        found = base.transform(dataset(frame, 1)).compute()
        for column in "ab":
            assert found[column].tolist() == [ids[key] for key in frame[column]]
    assert ids == {"x": 3, "z": 4, "y": 5, "w": 6, "v": 7}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"freq_threshold": 2}, lambda new: [item for item in new if item[1] >= 2]),
        ({"max_size": 8}, lambda new: new[:2]),
        ({"max_size": 6}, lambda new: []),
        ({"max_size": 4}, lambda new: []),  # fewer than the base has
    ],
)
def test_limits_are_for_new_keys_alone(options, kept, tmp_path):
    base = workflow(list("aabbc"), tmp_path / "base")
    keys = list("ddddeeffg") + ["a"]  # b and c are gone, a occurs once
    flow = workflow(keys, tmp_path / "flow", base=base, **options)
    ids = expected_after({"a": 3, "b": 4, "c": 5}, keys, kept)
    assert encoded(flow, list("abcdefg")) == [ids.get(key, 2) for key in "abcdefg"]
    counts = pd.read_parquet(fit_folders(tmp_path / "flow")[0] / "popularity.item_id.parquet")
    dropped = sum(key not in ids for key in keys)
    assert counts.sort_values("id")["count"].tolist()[:6] == [0, 0, dropped, 1, 0, 0]


def test_unknown_keys_have_as_many_buckets(tmp_path):
    base = workflow(list("aabbc"), tmp_path / "base", num_buckets=3)
    with pytest.raises(PopSamplerError, match="num_buckets as in base, .* id 5.*first id of 3"):
        workflow(list("ab"), tmp_path / "flow", base=base)
    flow = workflow(list("abdd"), tmp_path / "flow", base=base, num_buckets=3)
    assert encoded(flow, list("abcd")) == [5, 6, 7, 8]


SOURCES = {
    "workflow": lambda flow, folder: flow,
    "operator": lambda flow, folder: flow.output_node.parents[0].op,
    "saved workflow": lambda flow, folder: flow.save(str(folder / "saved")) or folder / "saved",
    "loaded workflow": lambda flow, folder: (
        flow.save(str(folder / "saved")) or nvt.Workflow.load(str(folder / "saved"))
    ),
    "out_path": lambda flow, folder: str(folder),
    "schema": lambda flow, folder: flow.output_schema,
}


@pytest.mark.parametrize("name", SOURCES)
def test_wherever_the_base_is(name, tmp_path):
    base = workflow(list("aabbbc"), tmp_path / "base")
    source = SOURCES[name](base, tmp_path / "base")
    flow = workflow(list("ddac"), tmp_path / "flow", base=source)
    assert encoded(flow, list("bacd")) == [3, 4, 5, 6]
    assert id_map(base, flow).new_ids.tolist() == [0, 1, 2, 3, 4, 5]
    assert id_map(source, flow).new_ids.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_save_keeps_the_ids_and_a_loaded_workflow_its_base(tmp_path):
    base = workflow(list("aabbbc"), tmp_path / "base")
    flow = workflow(list("ddac"), tmp_path / "flow", base=base)
    flow.save(str(tmp_path / "saved"))
    frame = pd.DataFrame({COLUMN: list("bacd?")})
    found = transformed_elsewhere(tmp_path / "saved", frame, tmp_path)
    assert found[COLUMN].tolist() == [3, 4, 5, 6, 2]
    loaded = nvt.Workflow.load(str(tmp_path / "saved"))
    loaded.fit(dataset(pd.DataFrame({COLUMN: list("eeb")}), 1))
    assert encoded(loaded, list("bacde")) == [3, 4, 5, 2, 6]


def test_a_column_without_base_is_written_as_ever(tmp_path):
    flow = workflow(list("aabbbc"), tmp_path)
    properties = flow.output_schema[COLUMN].properties
    assert properties["popularity"]["version"] == 2
    assert not {"ranks_digest", "ranks_path"} & set(properties["popularity"])
    assert "stable_ids" not in properties
    assert not list(tmp_path.rglob("ranks.*"))


# ------------------------------------------------------------------ what was fitted, and damage


def test_the_counts_file_gives_the_same_sampler(tmp_path):
    base = workflow(list("aabbbc"), tmp_path / "base")
    flow = workflow(list("ddaacf"), tmp_path / "flow", base=base)
    found = sampler_kwargs_from_schema(flow, None, 1.0, {})
    assert found["item_ids"].tolist() == [4, 6, 5, 7]
    np.testing.assert_allclose(found["distribution"].probs(), np.array([2, 2, 1, 1]) / 6)


def test_a_data_set_refuses_a_file_that_is_gone(tmp_path):
    base = workflow(list("aabbbc"), tmp_path / "base")
    flow = workflow(list("ddaacf"), tmp_path / "flow", base=base)
    frame = pd.DataFrame({COLUMN: list("abc")})
    flow.transform(dataset(frame, 1)).to_parquet(str(tmp_path / "data"))
    path = next((tmp_path / "flow").rglob("ranks.*"))
    assert sampler_kwargs_from_schema(tmp_path / "data", None, 1.0, {})["max_id"] == 7
    content = path.read_bytes()
    path.write_bytes(content[4:] + content[:4])
    with pytest.raises(SchemaError, match="'item_id'.*file of its ids by rank.*another file"):
        sampler_kwargs_from_schema(tmp_path / "data", None, 1.0, {})
    with pytest.raises(PopSamplerError, match="file that the fit wrote"):
        flow.save(str(tmp_path / "saved"))
    path.unlink()
    with pytest.raises(SchemaError, match="'item_id'.*file of its ids by rank.*FileNotFound"):
        sampler_kwargs_from_schema(tmp_path / "data", None, 1.0, {})


@pytest.mark.parametrize("kind", ["unique", "popularity", "ranks"])
def test_a_fit_that_dies_leaves_the_earlier_one_whole(kind, tmp_path, monkeypatch):
    from merlin_popsampler.store import filesystem

    base = workflow(list("aabbbc"), tmp_path / "base")
    node = [COLUMN] >> FrequencyCategorify(out_path=str(tmp_path / "flow"), base=base)
    flow = fitted(node, dataset(pd.DataFrame({COLUMN: list("dda")}), 1))
    before = bytes_below(tmp_path)
    write = filesystem.write_bytes

    def dies(path, content):
        if f"/{kind}." in path:
            raise OSError("no space left on device")
        write(path, content)

    monkeypatch.setattr(filesystem, "write_bytes", dies)
    with pytest.raises(OSError, match="no space"):
        flow.fit(dataset(pd.DataFrame({COLUMN: list("eee")}), 1))
    monkeypatch.setattr(filesystem, "write_bytes", write)
    assert_whole(before, tmp_path)
    assert encoded(flow, list("bacde")) == [3, 4, 5, 6, 2]


def assert_whole(before, folder):
    """Asserts that all files are unchanged, and that no complete fit was added."""
    after = bytes_below(folder)
    assert {name: after[name] for name in before} == before
    assert not [name for name in after.keys() - before if name.endswith("manifest.json")]


KILLED = (
    OPERATORS
    + """
import os, signal
import nvtabular, pandas
from merlin.io import Dataset
from merlin_popsampler import FrequencyCategorify
from merlin_popsampler.store import filesystem
base, out_path = sys.argv[1:]
write = filesystem.write_bytes
def killed(path, content):
    if "/ranks." in path:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)
filesystem.write_bytes = killed
node = ["item_id"] >> FrequencyCategorify(out_path=out_path, base=base)
frame = pandas.DataFrame({"item_id": list("eee")})
nvtabular.Workflow(node).fit(Dataset(frame, cpu=True))
"""
)


def test_a_fit_that_is_killed_leaves_the_base_and_its_folder_whole(tmp_path):
    """Both fits are in one folder, in which the base is still found afterwards."""
    workflow(list("aabbbc"), tmp_path)
    before = bytes_below(tmp_path)
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]
    assert_whole(before, tmp_path)
    flow = workflow(list("eef"), tmp_path, base=tmp_path)
    assert encoded(flow, list("bacef")) == [3, 4, 5, 6, 7]


def test_a_base_outlives_the_refits_of_its_operator(tmp_path):
    base = workflow(list("aabbbc"), tmp_path / "base")
    node = [COLUMN] >> FrequencyCategorify(out_path=str(tmp_path / "flow"), base=base)
    for keys in ("x", "y", "z"):
        base.fit(dataset(pd.DataFrame({COLUMN: list(keys)}), 1))
    flow = fitted(node, dataset(pd.DataFrame({COLUMN: list("dda")}), 1))
    assert encoded(flow, list("bacd")) == [3, 4, 5, 6]


def test_a_base_whose_files_were_changed_is_refused(tmp_path):
    base = workflow(list("aabbbc"), tmp_path / "base")
    pd.DataFrame({COLUMN: ["x"]}).to_parquet(base.output_schema[COLUMN].properties["cat_path"])
    with pytest.raises(PopSamplerError, match="file that the fit wrote"):
        workflow(list("dda"), tmp_path / "flow", base=base)


# ------------------------------------------------------------------ refusals


def test_a_base_that_is_not_a_fit_is_refused(tmp_path):
    unfitted = FrequencyCategorify(out_path=str(tmp_path))
    for source in (unfitted, nvt.Workflow([COLUMN] >> unfitted), tmp_path / "empty"):
        with pytest.raises(PopSamplerError, match="base to be an earlier fit"):
            FrequencyCategorify(base=source)
    with pytest.raises(SchemaError, match="Expected a Merlin Schema"):
        FrequencyCategorify(base=7)


def test_keys_of_another_type_are_refused(tmp_path):
    base = workflow([1, 2, 2], tmp_path / "base")
    with pytest.raises(PopSamplerError, match="keys of base's type, number.*Received: string"):
        workflow(["1", "2"], tmp_path / "flow", base=base)


@pytest.mark.parametrize(
    ("earlier", "keys"),
    [
        ([1.5, 2.0], [2**53 + 1, 2]),
        ([2**53 + 1, 2], [1.5, 2.0]),
        ([-1, 2], [2**64 - 1, 2]),
        ([decimal.Decimal("1e-40")], [decimal.Decimal(10**50)]),
    ],
)
def test_keys_that_no_type_holds_together_are_refused(earlier, keys, tmp_path):
    base = workflow(earlier, tmp_path / "base")
    with pytest.raises(PopSamplerError, match="Convert the column to strings, and leave out a ba"):
        workflow(keys, tmp_path / "flow", base=base)
    flow = workflow([str(key) for key in keys], tmp_path / "flow")
    assert sorted(encoded(flow, map(str, keys))) == list(range(3, 3 + len(keys)))


def test_another_column_is_refused(tmp_path):
    base = workflow([1, 2, 2], tmp_path / "base")
    frame = pd.DataFrame({"user": [1, 2]})
    with pytest.raises(PopSamplerError, match=r"'user'.*one fit of it in base.*\['item_id'\]"):
        fitted(["user"] >> FrequencyCategorify(base=base), dataset(frame, 1))


def test_another_encode_type_is_refused(tmp_path):
    frame = pd.DataFrame({"a": list("xy"), "b": list("yz")})
    base = fitted(
        [["a", "b"]] >> FrequencyCategorify(out_path=str(tmp_path / "1"), encode_type="joint"),
        dataset(frame, 1),
    )
    other = FrequencyCategorify(out_path=str(tmp_path / "2"), encode_type="combo", base=base)
    with pytest.raises(PopSamplerError, match="in the same encode_type"):
        fitted([["a", "b"]] >> other, dataset(frame, 1))


def test_ids_of_another_encoder_are_refused(tmp_path):
    data = dataset(pd.DataFrame({COLUMN: list("abbccc")}), 1)
    stock = ops.Categorify(out_path=str(tmp_path / "stock"))
    order = FrequencyOrder(on_violation="remap", out_path=str(tmp_path / "stock"))
    node = [COLUMN] >> stock
    for place, last in enumerate((node >> order, node)):
        base = fitted(last, data)
        with pytest.raises(PopSamplerError, match="a base whose ids FrequencyCategorify gave"):
            workflow(list("abc"), tmp_path / str(place), base=base)


@pytest.mark.parametrize("options", [{}, {"on_violation": "remap"}, {"mode": "vocabulary"}])
def test_an_order_of_stable_ids_is_refused(options, tmp_path):
    base = workflow(list("aabbbc"), tmp_path / "base")
    encoder = FrequencyCategorify(out_path=str(tmp_path / "flow"), base=base)
    order = FrequencyOrder(out_path=str(tmp_path / "flow"), **options)
    with pytest.raises(FrequencyOrderError, match=r"\['item_id'\].*keep their numbers"):
        fitted([COLUMN] >> encoder >> order, dataset(pd.DataFrame({COLUMN: list("ddac")}), 1))


@pytest.mark.parametrize("moved", [False, True])
def test_a_loaded_workflow_needs_no_file_of_its_fit(moved, tmp_path):
    """Regression: its schema names the file of the fit, which is gone."""
    base = workflow(["tea"] * 3 + ["jam"], tmp_path / "1")
    flow = workflow(["jam"] * 2 + ["milk"] * 3, tmp_path / "2", base=base)
    expected = sampler_kwargs_from_schema(flow, None, 1.0, {})
    flow.save(str(tmp_path / "saved"))
    shutil.rmtree(tmp_path / "2")
    if moved:
        os.rename(tmp_path / "saved", tmp_path / "moved")
    loaded = nvt.Workflow.load(str(tmp_path / ("moved" if moved else "saved")))
    found = sampler_kwargs_from_schema(loaded, None, 1.0, {})
    assert found["item_ids"].tolist() == expected["item_ids"].tolist() == [5, 4]


def test_the_counts_of_the_fit_replace_the_file(tmp_path):
    """The counts file has those of null and of unknown keys too, which are not items."""
    base = workflow(["tea"] * 3 + ["jam"], tmp_path / "1")
    later = ["jam"] * 2 + ["milk"] * 3 + [None] * 9
    flow = workflow(later, tmp_path / "2", base=base)
    flow.save(str(tmp_path / "saved"))
    schema = flow.output_schema
    expected = sampler_kwargs_from_schema(schema, None, 1.0, {})
    shutil.rmtree(tmp_path / "2")
    with pytest.raises(SchemaError, match=r"and reserved_ids=range\(3\). A saved workflow holds"):
        sampler_kwargs_from_schema(schema, None, 1.0, {})
    counts = pd.read_parquet(tmp_path / "saved" / "categories" / "popularity.item_id.parquet")
    found = sampler_kwargs_from_counts(counts, range(3), 1.0, {})
    assert found["item_ids"].tolist() == expected["item_ids"].tolist() == [5, 4]
    assert found["distribution"] == expected["distribution"]
