"""What the tests of FrequencyCategorify encode."""

import pandas as pd
import pytest

from merlin_popsampler.ops.keys import columns
from tests.support.memory_files import memory

__all__ = ["memory"]


@pytest.fixture(autouse=True)
def objects_are_looked_at_once(monkeypatch):
    """What is done for columns of many rows is tried on all that these tests have."""
    monkeypatch.setattr(columns, "_are_shared", lambda values: True)


@pytest.fixture
def frame(rng):
    return pd.DataFrame({"item_id": rng.zipf(1.3, 2000) % 97 * 7, "user": rng.integers(0, 9, 2000)})
