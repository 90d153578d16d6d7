"""Tests the commands of `make installs`, and its check of each environment."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden" / "samplers.json"


def run_check(monkeypatch, golden):
    monkeypatch.setattr(sys, "argv", ["installs_check.py", str(golden)])
    runpy.run_path(str(ROOT / "tools" / "installs_check.py"))


def test_an_environment_that_draws_the_golden_ids_is_accepted(monkeypatch, capsys):
    run_check(monkeypatch, GOLDEN)
    said = capsys.readouterr().out.splitlines()[-1]
    assert f"`{said}`" in (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")


def test_an_environment_that_draws_other_ids_is_rejected(monkeypatch, tmp_path, capsys):
    golden = json.loads(GOLDEN.read_text())
    golden["log-uniform, 20 of 400"].reverse()
    changed = tmp_path / "golden.json"
    changed.write_text(json.dumps(golden))
    with pytest.raises(SystemExit, match="NumPy drew"):
        run_check(monkeypatch, changed)
    assert not capsys.readouterr().out


def test_every_extra_of_the_pages_is_tried():
    module = runpy.run_path(str(ROOT / "tools" / "installs.py"))
    lines = {line.name: line.minors for line in module["documented_lines"]()}
    every, merlins = [8, 9, 10, 11, 12, 13], [8, 9, 10, 11]
    assert {name: lines[name] for name in module["NEEDS"]} == {
        "bare": every,
        "torch": every,
        "tensorflow": every,
        "nvtabular": merlins,
        "models": merlins,
    }
    assert lines["two-steps"] == [12, 13]


def test_make_runs_every_test_that_needs_pytorch():
    """Regression: where PyTorch is, such files were not named, and elsewhere they are skipped."""
    (named,) = re.findall(r"^TORCH_TESTS = ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(), re.M)
    folders = [ROOT / path for path in named.replace("\\\n", " ").split()]
    tests = {path for folder in folders for path in (*folder.rglob("test_*.py"), folder)}
    # polars is where PyTorch is; the last pattern is a parameter of the examples in docstrings
    needs = re.compile(r'importorskip\("(?:torch|polars)"|^import torch$|\("torch", "', re.M)
    needing = {
        path
        for path in (ROOT / "tests").rglob("test_*.py")
        if needs.search(path.read_text(encoding="utf-8"))
    }
    assert needing | {ROOT / "tests" / "test_docs.py"} <= tests
