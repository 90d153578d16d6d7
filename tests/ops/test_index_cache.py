"""Indexes of a process: made once, whoever asks, and kept within bounds."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa

from merlin_popsampler.ops.index_cache import IndexCache
from merlin_popsampler.ops.key_index import KeyIndex


def test_threads_that_ask_at_once():
    """Each trial's index is new: pandas builds its tables at the first request."""
    cache = IndexCache()
    keys = np.random.default_rng(17).permutation(200_000)
    table = pa.table({"a": keys})
    made = []

    def make():
        made.append(threading.get_ident())
        return KeyIndex(table)

    def ask(trial):
        rows = pd.Series(keys[trial : trial + 3])
        return cache.get(trial // 8, make, 1, 100).places([rows]).tolist()

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
    """The thread that makes it is not there in the child, which makes its own."""
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
