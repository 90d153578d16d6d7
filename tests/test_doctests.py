"""Runs the examples in docstrings."""

import doctest
import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

from merlin_popsampler import contract, core

MODULES = [
    "merlin_popsampler.distributions",
    "merlin_popsampler.errors",
    "merlin_popsampler.compat",
    "merlin_popsampler.compat.adaptation",
    *(
        module.name
        for folder in (core, contract)
        for module in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}.")
    ),
]

FRAMEWORKS = [
    ("tensorflow", f"merlin_popsampler.tf.{name}")
    for name in (
        "all_items",
        "logits",
        "metrics",
        "monitor",
        "negatives",
        "refit",
        "sampled_softmax",
        "sampler",
    )
] + [
    ("torch", f"merlin_popsampler.torch.{name}")
    for name in (
        "all_items",
        "logits",
        "monitor",
        "negatives",
        "refit",
        "sampled_softmax",
        "sampler",
    )
]
FRAMEWORKS += [
    ("merlin.models", f"merlin_popsampler.tf.merlin_models.{name}")
    for name in ("contrastive", "item_features")
]
NVTABULAR = [
    "ops.frequency_categorify",
    "ops.frequency_order",
    "store.id_map",
    "store.keyed_ids",
]


def examples(module) -> int:
    return Path(module.__file__).read_text(encoding="utf-8").count(">>> ")


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
    assert (result.attempted > 0) == (examples(module) > 0), "expected its examples to run"


@pytest.mark.parametrize(("framework", "name"), FRAMEWORKS)
def test_examples_of_frameworks(framework, name):
    pytest.importorskip(framework)
    result = doctest.testmod(import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
    assert result.attempted > 0


@pytest.mark.parametrize("name", NVTABULAR)
def test_examples_with_nvtabular(name, tmp_path, monkeypatch):
    """Runs in an empty folder, since `out_path` is the working directory by default."""
    pytest.importorskip("nvtabular")
    monkeypatch.chdir(tmp_path)
    module = import_module(f"merlin_popsampler.{name}")
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0
    assert result.attempted > 0


def test_the_core_shows_how_it_is_used():
    assert sum(examples(import_module(name)) for name in MODULES) > 20


@pytest.mark.parametrize(
    ("framework", "name"),
    [
        ("tensorflow", "merlin_popsampler"),
        ("numpy", "merlin_popsampler.compat"),
        ("numpy", "merlin_popsampler.distributions"),
        ("tensorflow", "merlin_popsampler.tf"),
        ("merlin.models", "merlin_popsampler.tf.merlin_models"),
        ("torch", "merlin_popsampler.torch"),
    ],
)
def test_every_public_class_and_function_has_an_example(framework, name):
    pytest.importorskip(framework)
    module = import_module(name)
    for public in (getattr(module, each) for each in module.__all__):
        is_error = isinstance(public, type) and issubclass(public, Exception)
        if callable(public) and not is_error:
            assert ">>> " in (public.__doc__ or ""), public
