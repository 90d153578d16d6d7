"""What the tests of FrequencyCategorify encode."""

import fsspec
import pandas as pd
import pytest

from merlin_popsampler.ops import keys


@pytest.fixture(autouse=True)
def objects_are_looked_at_once(monkeypatch):
    """What is done for columns of many rows is tried on all that these tests have."""
    monkeypatch.setattr(keys, "_are_shared", lambda values: True)


@pytest.fixture
def frame(rng):
    return pd.DataFrame({"item_id": rng.zipf(1.3, 2000) % 97 * 7, "user": rng.integers(0, 9, 2000)})


@pytest.fixture
def memory():
    """A file system that is no folder of this machine, empty before and after."""
    fs = fsspec.filesystem("memory")
    _empty(fs)
    yield fs
    _empty(fs)


def _empty(fs):
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
