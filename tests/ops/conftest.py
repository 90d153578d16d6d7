"""Fixtures of the tests of FrequencyCategorify."""

import pandas as pd
import pytest

from merlin_popsampler.ops.keys import columns
from tests.support.memory_files import memory

__all__ = ["memory"]


@pytest.fixture(params=[True, False], ids=["shared objects", "objects of their own"])
def sharing(request, monkeypatch):
    """Tests with and without deduplication of objects, which needs many rows by default."""
    monkeypatch.setattr(columns, "_are_shared", lambda values: request.param)


@pytest.fixture
def frame(rng):
    return pd.DataFrame({"item_id": rng.zipf(1.3, 2000) % 97 * 7, "user": rng.integers(0, 9, 2000)})
