"""Tests the ways of looking keys up, and when each is used."""

import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import dask
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.ops import lookup
from merlin_popsampler.ops.keys.index import KeyIndex
from merlin_popsampler.ops.lookup import IndexCache
from merlin_popsampler.store import filesystem
from tests.support.workflow_helpers import (
    dataset,
    encode,
    expected_ids,
    forget_vocabularies,
)


@pytest.fixture
def keys(rng):
    return [f"item {key}" for key in rng.zipf(1.3, 3000) % 500]


@pytest.fixture
def reads(monkeypatch):
    """Records the paths of the key files that are read."""
    forget_vocabularies()
    read, paths = filesystem.read_bytes, []

    def noting(path):
        if "unique" in path:
            paths.append(path.rsplit("/", 1)[1])
        return read(path)

    monkeypatch.setattr(filesystem, "read_bytes", noting)
    return paths


def test_a_vocabulary_is_read_once(keys, out_path, reads):
    workflow, found = encode(pd.DataFrame({"item_id": keys}), ["item_id"], out_path)
    ids = expected_ids(keys)
    assert found["item_id"].tolist() == [ids[key] for key in keys]
    reads.clear()
    copy = pickle.loads(pickle.dumps(workflow))
    for _ in range(3):
        assert copy.transform(pd.DataFrame({"item_id": keys[:1]}))["item_id"][0] == ids[keys[0]]
    assert reads == []


def test_above_the_budget_the_frequent_keys_come_first(keys, out_path, reads):
    """No part stays in memory, and parts are skipped once all keys are found."""
    frame = pd.DataFrame({"item_id": keys})
    workflow, _ = encode(frame, ["item_id"], out_path, split_out=4)
    ids = expected_ids(keys)
    reads.clear()
    with dask.config.set({lookup.BUDGET: "1 kB"}):
        found = workflow.transform(frame)["item_id"].tolist()
        assert found == [ids[key] for key in keys]
        assert reads == [f"part.{part}.parquet" for part in range(4)]
        frequent = pd.DataFrame({"item_id": sorted(ids, key=ids.get)[:5]})
        assert workflow.transform(frequent)["item_id"].tolist() == [3, 4, 5, 6, 7]
        assert reads[4:] == ["part.0.parquet"]
        unknown = workflow.transform(pd.DataFrame({"item_id": ["new", None]}))
        assert unknown["item_id"].tolist() == [2, 1]


def test_no_pickle_holds_an_index(keys, out_path):
    workflow, _ = encode(pd.DataFrame({"item_id": keys}), ["item_id"], out_path)
    before = len(pickle.dumps(workflow))
    workflow.transform(pd.DataFrame({"item_id": keys}))
    assert len(pickle.dumps(workflow)) == before < 100_000


def test_requests_from_eight_threads(rng, out_path):
    """In each round all threads request a vocabulary that is not yet loaded."""
    keys = rng.permutation(100_000)
    frame = pd.DataFrame({"item_id": keys, "word": keys.astype(str).astype(object)})
    workflow, _ = encode(frame, ["item_id", "word"], out_path)
    ids = expected_ids(keys.tolist())
    words = expected_ids(keys.astype(str).tolist())

    def ask(number):
        made = workflow.transform(frame.iloc[number : number + 1])
        return made["item_id"].iloc[0], made["word"].iloc[0]

    rows = range(64)
    with ThreadPoolExecutor(8) as threads:
        for _ in range(3):
            forget_vocabularies()
            found = list(threads.map(ask, rows))
            assert found == [(ids[keys[row]], words[str(keys[row])]) for row in rows]


@pytest.mark.parametrize("budget", ["lots", "-1", None, -1.0, "2 GiB or so"])
def test_a_budget_that_is_no_number_of_bytes_is_refused_by_its_name(keys, out_path, budget):
    workflow, _ = encode(pd.DataFrame({"item_id": keys}), ["item_id"], out_path)
    says = "Expected the dask setting 'merlin_popsampler.index-memory'"
    with dask.config.set({lookup.BUDGET: budget}), pytest.raises(PopSamplerError, match=says):
        workflow.transform(pd.DataFrame({"item_id": keys}))


def test_lists_and_combinations_above_the_budget(rng, out_path):
    left, right = rng.integers(0, 40, (2, 800))
    frame = pd.DataFrame({"a": left, "b": right.astype(str).astype(object)})
    frame["c"] = [[*pair] for pair in zip(left, right)]
    columns = [["a", "b"], "c"]
    workflow, expected = encode(
        frame, columns, out_path, encode_type="combo", split_out=3, name_sep="_"
    )
    with dask.config.set({lookup.BUDGET: 0}):
        found = workflow.transform(dataset(frame)).compute().reset_index(drop=True)
    pairs = expected_ids(zip(frame["a"], frame["b"]))
    assert found["a_b"].tolist() == [pairs[pair] for pair in zip(frame["a"], frame["b"])]
    items = expected_ids(np.stack((left, right)).ravel().tolist())
    assert [list(row) for row in found["c"]] == [[items[key] for key in row] for row in frame["c"]]
    assert found["a_b"].tolist() == expected["a_b"].tolist()


def test_threads_that_ask_at_once():
    """Each trial has a new index, since pandas builds its tables at the first request."""
    cache = IndexCache()
    keys = np.random.default_rng(17).permutation(200_000)
    table = pa.table({"a": keys})
    made = []

    def make():
        made.append(threading.get_ident())
        return KeyIndex(table)

    def ask(trial):
        rows = pd.Series(keys[trial : trial + 3])
        return cache.get(trial // 8, make, 1, 100).positions([rows]).tolist()

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ask, range(40)))
    assert found == [[trial, trial + 1, trial + 2] for trial in range(40)]
    assert len(made) == 5


def test_what_was_used_last_stays():
    cache, made = IndexCache(), []

    def get(name, cost=4):
        cache.get(name, lambda: made.append(name), cost, budget=10)

    for name in "abacab":
        get(name)
    assert made == ["a", "b", "c", "b"]
    get("whole", cost=10)
    get("a")
    assert made[4:] == ["whole", "a"]
    cache.clear()
    get("a")
    assert made[6:] == ["a"]


def test_a_fork_while_an_index_is_made():
    """The child has no such thread, and builds an index of its own."""
    cache, begun, may_end = IndexCache(), threading.Event(), threading.Event()

    def slowly():
        begun.set()
        may_end.wait(60)
        return "parent's"

    thread = threading.Thread(target=cache.get, args=("x", slowly, 1, 9))
    thread.start()
    begun.wait(60)
    child = os.fork()
    if not child:
        os._exit(0 if cache.get("x", lambda: "child's", 1, 9) == "child's" else 1)
    status, patience = (0, 0), time.monotonic() + 60
    while status[0] == 0 and time.monotonic() < patience:
        status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.02)
    if status[0] == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
    may_end.set()
    thread.join()
    assert status == (child, 0)
    assert cache.get("x", lambda: "another", 1, 9) == "parent's"
