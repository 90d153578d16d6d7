"""Imports point one way, and what is heavy loads on first use."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List, Tuple

import pytest

import merlin_popsampler

PACKAGE = Path(merlin_popsampler.__file__).parent

# A module may import the modules before it, never one after it.
ORDER = [
    "errors",
    "domain",
    "steps",
    "quadrature",
    "laws",
    "alias",
    "plan",
    "race",
    "inclusion",
    "metadata",
    "schema",
    "keys",
    "counting",
    "files",
    "vocabulary",
    "encoding",
    "options",
    "ownership",
    "fitted_files",
    "nvtabular_layout",
    "frequency_categorify",
    "order",
    "frequency_order",
    "ops",
    "device_laws",
    "distinct",
    "drawing",
    "sampling",
    "stream",
    "answers",
    "arguments",
    "sampler",
    "subject",
    "report",
    "pictures",
    "__main__",
]
NUMPY_CORE = ORDER[: ORDER.index("metadata") + 1]
TENSORFLOW = ("tensorflow", "keras", "tf_keras", "merlin.models")
OPERATORS = ORDER[ORDER.index("schema") : ORDER.index("ops") + 1]
LAYER = ORDER[ORDER.index("device_laws") : ORDER.index("sampler") + 1]
FORBIDDEN = {
    **dict.fromkeys(OPERATORS, TENSORFLOW),
    **dict.fromkeys(LAYER, ("nvtabular", "dask", "pandas")),
}


def imported(source: str) -> Iterator[str]:
    """Dotted names of what a module imports, at any depth; our own start with a dot.

    `from x import y` gives both `x` and `x.y`, since y may be a module.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (_own(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _own("." * node.level + (node.module or ""))
            if module != ".":
                yield module
            yield from (f"{module.rstrip('.')}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            yield from (_own(a.value) for a in node.args if isinstance(a, ast.Constant))


def _own(name: str) -> str:
    package = merlin_popsampler.__name__
    if name == package or name.startswith(package + "."):
        return "." + name[len(package) :].lstrip(".")
    return name


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def violations(module: str, source: str) -> List[str]:
    """What a module imports and must not."""
    found = []
    for name in imported(source):
        if name.startswith("."):
            target = name.split(".")[1]
            if target in ORDER and ORDER.index(target) >= ORDER.index(module):
                found.append(f"{module} imports {target}, which stands below it")
            elif target not in ORDER and not target.startswith("__"):
                # A public name of __init__ would hide which module is meant.
                found.append(f"{module} imports {name} of the package itself")
        elif module in NUMPY_CORE and name.split(".")[0] not in {"numpy", *_standard_library()}:
            found.append(f"{module} imports {name}, beside NumPy and the standard library")
        elif any((name + ".").startswith(root + ".") for root in FORBIDDEN.get(module, ())):
            found.append(f"{module} imports {name}")
    return found


def _standard_library() -> frozenset:
    names = getattr(sys, "stdlib_module_names", None)  # from Python 3.10 on
    if names is None:
        folder = Path(ast.__file__).parent
        files = [*folder.iterdir(), *(folder / "lib-dynload").iterdir()]
        names = {*sys.builtin_module_names, *(file.name.split(".")[0] for file in files)}
    return frozenset(names)


def modules() -> List[Tuple[str, Path]]:
    return sorted((p.stem, p) for p in PACKAGE.rglob("*.py") if p.stem != "__init__")


def test_every_module_has_its_place_in_the_order():
    assert {name for name, _ in modules()} <= set(ORDER)


@pytest.mark.parametrize(("name", "path"), modules(), ids=[name for name, _ in modules()])
def test_a_module_imports_only_what_stands_above_it(name, path):
    assert violations(name, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("domain", "from .laws import Law"),
        ("domain", "from . import laws"),
        ("domain", "def f():\n    from merlin_popsampler.laws import Law"),
        ("domain", "import merlin_popsampler.laws"),
        ("domain", "from merlin_popsampler import laws"),
        ("domain", "from .domain import IdDomain"),
        ("metadata", "from merlin_popsampler import PopularityBasedSampler"),
        ("metadata", "import merlin.schema"),
        ("metadata", "def f():\n    import pandas as pd"),
        ("laws", "import importlib\nimportlib.import_module('tensorflow')"),
        ("frequency_order", "from tensorflow import math"),
        ("frequency_order", "from merlin import models"),
        ("frequency_order", "import keras.layers"),
        ("sampler", "def f():\n    from nvtabular.ops import Categorify"),
        ("report", "from .__main__ import main"),
    ],
)
def test_a_wrong_import_is_found(module, source):
    assert violations(module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("laws", "import math\nimport numpy.typing as npt\nfrom .domain import IdDomain"),
        (
            "frequency_order",
            "import nvtabular\nfrom merlin import schema\nfrom . import vocabulary",
        ),
        ("sampler", "import tensorflow as tf\nfrom .sampling import draw_ranks"),
    ],
)
def test_a_right_import_is_let_pass(module, source):
    assert violations(module, source) == []


def loaded_by(statement: str) -> List[str]:
    """Modules in `sys.modules` of a fresh process after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    return done.stdout.split()


HEAVY = {"tensorflow", "keras", "nvtabular", "cudf", "merlin", "dask", "pandas", "pyarrow"}


def test_importing_the_package_loads_neither_half():
    loaded = loaded_by("import merlin_popsampler")
    assert "merlin_popsampler" in loaded
    assert HEAVY.isdisjoint(loaded)


def test_the_numpy_core_loads_nothing_heavy():
    loaded = loaded_by("\n".join(f"import merlin_popsampler.{module}" for module in NUMPY_CORE))
    assert "numpy" in loaded
    assert HEAVY.isdisjoint(loaded)
