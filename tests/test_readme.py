"""What the README shows runs."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_example(capsys):
    pytest.importorskip("tensorflow")
    pytest.importorskip("nvtabular")
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(compile(code, str(README), "exec"), names)
    assert capsys.readouterr().out.splitlines()[-1] == "3 6 empirical"
    assert names["loss"].shape == (2,)
    assert all(loss > 0 for loss in names["loss"].numpy())


def test_its_commands_are_targets_of_the_makefile():
    targets = re.findall(r"^([a-z0-9-]+):", (README.parent / "Makefile").read_text(), re.MULTILINE)
    commands = re.findall(r"make ([a-z0-9-]+)", README.read_text(encoding="utf-8"))
    assert {"demo", "test"} <= set(commands) <= set(targets)
