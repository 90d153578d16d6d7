"""Tests a warm start with Merlin Models that is killed during its save, and run again."""

import json
import sys

import pytest

pytest.importorskip("merlin.models", reason="needs merlin.models")

from tests.support.programs import WORKFLOWS, interactions, killed, write_interactions
from tests.support.workflow_helpers import bytes_below

sys.path.insert(0, str(WORKFLOWS))

import preprocess
import train

pytestmark = pytest.mark.merlin_models
SMALL = ("--epochs", "1", "--num-sampled", "20", "--batch-size", "512", "--dim", "8")
MIDDLE_OF_A_SAVE = "tensorflow.python.lib.io.file_io.atomic_write_string_to_file"


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """Returns a folder with fits `old` and `new`, and a model of the first in `old-models`."""
    folder = tmp_path_factory.mktemp("refits")
    write_interactions(folder / "raw.csv")
    for name, *flags in (("old", "--train-share", 0.667), ("new", "--refit-of", folder / "old")):
        flags += [*interactions(folder / "raw.csv"), "--output", folder / name]
        preprocess.main([*map(str, flags)])
    training(folder, "old")
    return folder


def flags_of(folder, name, *flags):
    named = ("--data", folder / name, "--output", folder / f"{name}-models", *flags)
    return [*map(str, named), *SMALL, "--models", "retrieval"]


def training(folder, name, *flags):
    train.main(flags_of(folder, name, *flags))


def test_a_warm_start_takes_rows_and_moments_and_can_be_killed(earlier, capsys):
    before, output = bytes_below(earlier), earlier / "new-models"
    flags = ("--warm-start", earlier / "old-models")
    killed("train", MIDDLE_OF_A_SAVE, *flags_of(earlier, "new", *flags))
    (partial,) = output.iterdir()
    assert partial.name == "partial-retrieval"
    assert not (partial / "saved_model.pb").exists()

    capsys.readouterr()
    training(earlier, "new", *flags)
    after = bytes_below(earlier)
    assert {name: after[name] for name in before} == before
    assert (output / "retrieval" / "saved_model.pb").exists() and not partial.exists()
    summary = json.loads((earlier / "new" / "preprocess.json").read_text())
    kept, added = summary["kept_items"] + 3, summary["new_items"]
    moved = [
        line.split(": ", 1)[1] for line in capsys.readouterr().out.splitlines() if "kept" in line
    ]
    expected = f"{kept} rows kept, {added} added, 0 gone; state of the optimizer: m, v"
    assert moved == [expected] * 2  # the tables of items in input and output
