"""Tests that progress bars appear only in terminals, not in logs."""

import ast
from pathlib import Path

import merlin_popsampler

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "workflows", ROOT / "benchmarks", Path(merlin_popsampler.__file__).parent)


def bars_of(path):
    """Returns the calls of tqdm in a script."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "tqdm":
            yield path.name, {word.arg: word.value for word in node.keywords}


def is_none(node):
    return isinstance(node, ast.Constant) and node.value is None


def test_every_bar_leaves_logs_alone():
    bars = [bar for folder in FOLDERS for path in folder.rglob("*.py") for bar in bars_of(path)]
    assert len({name for name, _ in bars}) >= 5
    assert [name for name, words in bars if not is_none(words.get("disable"))] == []
