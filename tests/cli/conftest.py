"""Fixtures: two fits of a small shop, of last month and of this month."""

import pytest

from tests.support.workflow_helpers import saved

OLD = ["tea"] * 6 + ["milk"] * 3 + ["jam"] * 2 + [None] * 4
NEW = ["milk"] * 8 + ["tea"] * 4 + ["rye"] * 3


@pytest.fixture
def old(tmp_path):
    return saved(OLD, tmp_path / "old")


@pytest.fixture
def new(tmp_path):
    return saved(NEW, tmp_path / "new")
