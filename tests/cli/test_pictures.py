"""The picture that `inspect --plot` draws."""

import os

import pytest

from merlin_popsampler.cli.commands import main
from tests.support.workflow_helpers import saved

pytestmark = pytest.mark.filterwarnings("ignore")


def test_pictures(old, tmp_path):
    pytest.importorskip("matplotlib")
    path = str(tmp_path / "out.png")
    assert main(["inspect", str(old / "workflow"), "--plot", path, "--num-sampled", "2"]) == 0
    with open(path, "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    assert os.path.getsize(path) > 10_000


@pytest.mark.parametrize("name", ["out.nope", "missing/out.png"])
def test_pictures_that_cannot_be_written(old, tmp_path, name, capsys):
    pytest.importorskip("matplotlib")
    assert main(["inspect", str(old / "workflow"), "--plot", str(tmp_path / name)]) == 2
    assert "Expected a picture's path" in capsys.readouterr().err


def test_no_picture_of_nothing(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    empty = saved([None, None], tmp_path / "empty")
    assert main(["inspect", str(empty / "workflow")]) == 0
    assert main(["inspect", str(empty / "workflow"), "--plot", str(tmp_path / "out.png")]) == 2
    assert "at least one item" in capsys.readouterr().err
