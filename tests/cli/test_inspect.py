"""What `inspect` says of a schema and its counts."""

import json

import pytest

from merlin_popsampler.cli.inspect import summary
from merlin_popsampler.ops.fitted_column import read_fitted_column

pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_summary(old):
    found = summary(read_fitted_column(str(old / "workflow")))
    assert (found["min_id"], found["max_id"], found["items"]) == (3, 5, 3)
    assert found["interactions"] == 11
    assert found["top_share"] == pytest.approx(6 / 11)
    assert found["reserved_share"] == {"null": pytest.approx(4 / 15)}
    json.dumps(found)


def test_the_schema_alone_knows_the_curve(old):
    """The files of the fit are gone; interactions and shares come from the steps."""
    found = summary(read_fitted_column(str(old / "data")))
    assert "reserved_share" not in found
    assert found["top_share"] == pytest.approx(6 / 11)
