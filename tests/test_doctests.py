"""The examples in the docstrings of the NumPy core say what the code does."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import merlin_popsampler

NUMPY_CORE = ["domain", "steps", "quadrature", "laws", "alias", "race", "inclusion", "metadata"]


def examples(name: str) -> int:
    source = Path(merlin_popsampler.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return source.count(">>> ")


@pytest.mark.parametrize("name", NUMPY_CORE)
def test_docstring_examples(name):
    module = import_module(f"{merlin_popsampler.__name__}.{name}")
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
    assert (result.attempted > 0) == (examples(name) > 0), "expected its examples to run"
