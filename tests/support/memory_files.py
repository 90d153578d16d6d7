"""A file system in memory, for the folders whose tests write to one."""

import fsspec
import pytest


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
