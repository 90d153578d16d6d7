"""Tests that the example of the README runs, and that its first screen is short."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_example(capsys):
    pytest.importorskip("tensorflow")
    pytest.importorskip("nvtabular")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = (block for block in blocks if "nvtabular" in block)  # the block that needs NVTabular
    names = {}
    exec(compile(code, str(README), "exec"), names)
    assert capsys.readouterr().out.splitlines()[-1] == "3 6 empirical"
    assert names["losses"].shape == (2,)
    assert all(loss > 0 for loss in names["losses"].numpy())


def test_the_first_screen():
    screen, _, rest = README.read_text(encoding="utf-8").partition("\n## ")
    assert "loss(queries, true_ids, items).backward()" in screen
    assert "docs/loss.md#when-to-sample" in screen  # tells who does not need the package
    assert len(screen.splitlines()) < 40
    assert rest.startswith("Install\n")


def test_the_demo():
    _, _, demo = README.read_text(encoding="utf-8").partition("\n## The demo")
    demo, _, _ = demo.partition("\n## ")
    assert "](docs/images/popularity.png)" in demo
    assert "python -m merlin_popsampler inspect" in demo
    assert "times popularity" in demo
