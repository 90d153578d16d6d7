"""Reads the imports of a module from its source, for rules beyond import-linter's contracts."""

import ast
import sys
from pathlib import Path
from typing import Dict, Iterator

FRAMEWORKS = {"tensorflow", "keras", "tf_keras", "torch", "jax"}
FRAMES = {"pandas", "dask", "distributed", "pyarrow", "cudf", "dask_cudf", "fsspec"}
BY_NAME = ("import_module", "__import__")
"""Functions that import a module given by its name."""


def imports_of(source: str, module: str) -> Iterator[str]:
    """Returns the dotted names that a module imports, also relatively and inside functions.

    `from x import y` gives both `x` and `x.y`, since y may be a module.

    Args:
      source: of the module.
      module: its dotted name, for relative imports; a folder's is `folder.__init__`.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_by_name(source: str) -> bool:
    """Tests whether a module imports by a string, which import-linter cannot follow."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return any(_called(node) in BY_NAME for node in calls)


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def sources(package: Path) -> Dict[str, str]:
    """Returns the source of every module of a package, by dotted name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts)] = path.read_text(encoding="utf-8")
    return found


def standard_library() -> frozenset:
    names = getattr(sys, "stdlib_module_names", None)  # from Python 3.10 on
    if names is None:
        folder = Path(ast.__file__).parent
        files = [*folder.iterdir(), *(folder / "lib-dynload").iterdir()]
        names = {*sys.builtin_module_names, *(file.name.split(".")[0] for file in files)}
    return frozenset(names)
