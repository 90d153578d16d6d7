"""Tests that the examples of the README run, and that its first screen is short."""

import re
import warnings
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def blocks(library):
    found = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return [compile(code, str(README), "exec") for code in found if f"import {library}\n" in code]


def test_the_examples_in_pytorch_run_without_a_warning():
    torch = pytest.importorskip("torch")
    pytest.importorskip("polars")
    codes = blocks("torch")
    assert len(codes) == 2
    for code in codes:
        names = {}
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            exec(code, names)
        assert torch.isfinite(names["items"].weight.grad).all()
        assert names["items"].weight.grad.any()


def test_the_example_with_nvtabular(capsys):
    pytest.importorskip("tensorflow")
    pytest.importorskip("nvtabular")
    (code,) = blocks("nvtabular as nvt")
    names = {}
    exec(code, names)
    assert capsys.readouterr().out.splitlines()[-1] == "3 6 empirical"
    assert names["losses"].shape == (2,)
    assert all(loss > 0 for loss in names["losses"].numpy())


def test_the_first_screen():
    screen, _, rest = README.read_text(encoding="utf-8").partition("\n## ")
    assert "loss(queries, true_ids, items).backward()" in screen
    assert "docs/loss-details.md#when-to-sample" in screen  # tells who does not need the package
    assert len(screen.splitlines()) < 40
    assert rest.startswith("Install\n")


def test_the_demo():
    _, _, demo = README.read_text(encoding="utf-8").partition("\n## The demo")
    demo, _, _ = demo.partition("\n## ")
    assert "](docs/images/popularity.png)" in demo
    assert "python -m merlin_popsampler inspect" in demo
    assert "times popularity" in demo
