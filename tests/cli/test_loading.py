"""Tests that reports load no framework, whose start would take longer than the report."""

import json

import pandas as pd
import pytest
from nvtabular import ops

from merlin_popsampler import FrequencyCategorify
from tests.support.imports import FRAMES, FRAMEWORKS
from tests.support.processes import OPERATORS, run_python
from tests.support.workflow_helpers import dataset, fitted

pytestmark = pytest.mark.filterwarnings("ignore")
SLOW = {*FRAMEWORKS, "nvtabular", "merlin", "dask", "distributed"}
PROGRAM = """
import json, os, sys, runpy
os._exit = sys.exit  # a command ends its process at once
sys.argv = ["merlin_popsampler", *{arguments!r}]
try:
    runpy.run_module("merlin_popsampler", run_name="__main__")
except SystemExit as end:
    code = end.code
print(json.dumps([code, sorted(sys.modules)]))
"""


def loaded_by(*arguments, first=""):
    """Runs a command in a new process; returns its exit code and the packages that it loads."""
    program = PROGRAM.format(arguments=[str(argument) for argument in arguments])
    printed = run_python(first + program)
    code, modules = json.loads(printed.splitlines()[-1])
    return code, {name.split(".")[0] for name in modules}


@pytest.mark.parametrize("place", ["data", "data/schema.pbtxt"])
def test_a_schema_is_read_as_plain_data(old, place):
    code, loaded = loaded_by("inspect", old / place)
    assert code == 0
    assert loaded.isdisjoint({*SLOW, *FRAMES} - {"fsspec"})


@pytest.mark.parametrize("place", ["workflow", "fit"])
def test_a_fit_is_read_without_what_made_it(old, place):
    code, loaded = loaded_by("inspect", old / place, "--plot", "out.png")
    assert code == 0
    assert loaded.isdisjoint(SLOW)


def test_so_are_two_fits(old, new):
    code, loaded = loaded_by("compare", old / "workflow", new / "workflow")
    assert code == 1
    assert loaded.isdisjoint(SLOW)


def test_a_pickled_schema_is_read_only_if_needed_and_with_a_note(tmp_path):
    """Of the two vocabularies, only the tag shows which is that of the items."""
    frame = pd.DataFrame({"user": ["u", "v", "w"], "item": ["x", "x", "y"]})
    users = ["user"] >> FrequencyCategorify(out_path=str(tmp_path / "users"))
    items = ["item"] >> FrequencyCategorify(out_path=str(tmp_path / "items")) >> ops.TagAsItemID()
    path = tmp_path / "workflow"
    fitted(users + items, dataset(frame, 1)).save(str(path))
    code, loaded = loaded_by("inspect", path, "--column", "item")
    assert code == 0
    assert loaded.isdisjoint(SLOW)
    code, loaded = loaded_by("inspect", path, first=OPERATORS)
    assert code == 0
    assert "nvtabular" in loaded


def test_a_missing_library_is_named_with_the_ones_that_are_needed():
    missing = "import sys; sys.modules['fsspec'] = None\n"
    program = PROGRAM.format(arguments=["inspect", "data"])
    printed = run_python(missing + "sys.stderr = sys.stdout\n" + program).splitlines()
    assert printed[0].startswith("error: ")
    assert printed[0].endswith("Both commands need fsspec, pandas and pyarrow.")
    assert json.loads(printed[-1])[0] == 2
