"""Tests the report of `inspect` on a schema and its counts."""

import json

import pytest

from merlin_popsampler import PopSamplerError
from merlin_popsampler.cli.column_report import read_column_report
from merlin_popsampler.cli.inspect import resolve_num_sampled, rows, summary

pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_summary(old):
    found = summary(read_column_report(str(old / "workflow")))
    assert (found["min_id"], found["max_id"], found["items"]) == (3, 5, 3)
    assert found["interactions"] == 11
    assert found["top_share"] == pytest.approx(6 / 11)
    assert found["reserved_share"] == {"null": pytest.approx(4 / 15)}
    json.dumps(found)


def test_the_schema_alone_knows_the_curve(old):
    """Without the files of the fit, interactions and shares come from the steps."""
    found = summary(read_column_report(str(old / "data")))
    assert "reserved_share" not in found
    assert found["top_share"] == pytest.approx(6 / 11)


@pytest.mark.parametrize("place", ["workflow", "data", "data/schema.pbtxt"])
def test_the_fits_are_printed_in_one_order(old, place):
    printed = [name for name, _ in rows(summary(read_column_report(str(old / place))))]
    assert [name for name in printed if "fit" in name] == ["log-uniform fit", "steps fit"]


@pytest.mark.parametrize(
    ("size", "draws"),
    [(1, 1), (19, 1), (20, 2), (1000, 100), (9999, 999), (10_000, 1000), (10**9, 1000)],
)
def test_a_tenth_of_the_items_up_to_a_thousand(size, draws):
    assert resolve_num_sampled(None, size) == draws


def test_what_was_asked_for_up_to_all_items():
    assert [resolve_num_sampled(wanted, 7) for wanted in (1, 7)] == [1, 7]
    for wanted in (0, 8):
        with pytest.raises(PopSamplerError, match="--num-sampled"):
            resolve_num_sampled(wanted, 7)
