"""A file system in memory, as a fixture."""

import fsspec
import pytest


@pytest.fixture
def memory():
    """Returns a file system in memory, which is empty before and after the test."""
    fs = fsspec.filesystem("memory")
    _empty(fs)
    yield fs
    _empty(fs)


def _empty(fs):
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
