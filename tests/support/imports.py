"""What a module imports, read from its source, and which folders of the package may meet."""

import ast
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

PACKAGE_NAME = "merlin_popsampler"

# Folder -> what its modules may import of the package, beside their own folder.
MAY_IMPORT = {
    "errors": (),
    "compat": ("errors",),
    "core": ("errors",),
    "distributions": ("core",),
    "contract": ("errors", "core"),
    "store": ("errors", "core", "contract"),
    "ops": ("errors", "core", "contract", "store"),
    "tf": ("errors", "core", "contract"),
    "torch": ("errors", "core", "contract"),
    "cli": ("errors", "core", "contract", "store"),
    "__main__": ("cli",),
}
FRAMEWORKS = {"tensorflow", "keras", "tf_keras", "torch", "jax"}
FRAMES = {"pandas", "dask", "distributed", "pyarrow", "cudf", "dask_cudf", "fsspec"}
# Folder -> foreign packages that its modules must not import, at any depth of their code.
MUST_NOT = {
    "contract": {*FRAMEWORKS, *FRAMES - {"fsspec"}, "nvtabular", "merlin", "google"},
    "store": {*FRAMEWORKS, "nvtabular", "merlin", "dask", "distributed"},
    "ops": {*FRAMEWORKS, "merlin.models"},
    "tf": {*FRAMES, "nvtabular", "merlin", "torch", "jax"},
    "tf.merlin_models": {*FRAMES, "nvtabular", "torch", "jax"},
    "torch": {*FRAMES, "nvtabular", "merlin", *FRAMEWORKS - {"torch"}},
    "cli": {*FRAMEWORKS, "merlin"},
}
BY_NAME = ("import_module", "__import__")
"""Functions that import what they are told, at the time that they are called."""
NUMPY_ONLY = ("errors", "core", "distributions")


def imports_of(source: str, module: str, eager: bool = False) -> Iterator[str]:
    """Dotted names that a module imports, relative ones resolved.

    `from x import y` gives both `x` and `x.y`, since y may be a module.

    Args:
      source: of the module.
      module: its dotted name, for relative imports; a folder's is `folder.__init__`.
      eager: only what is imported when the module is, not what a function or a checker imports.
    """
    for node in _statements(ast.parse(source), eager):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif not eager and isinstance(node, ast.Call) and _called(node) in BY_NAME:
            names = (a.value for a in node.args[:1] if isinstance(a, ast.Constant))
            package = module.rpartition(".")[0]
            yield from (package + name if name.startswith(".") else name for name in names)


def _statements(tree: ast.AST, eager: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if eager and isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            continue
        yield child
        yield from _statements(child, eager)


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def sources(package: Path) -> Dict[str, str]:
    """Source of every module of a package, by dotted name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts)] = path.read_text(encoding="utf-8")
    return found


def folder_of(module: str) -> str:
    """The part of the package that a module belongs to; "" for the package's own `__init__`."""
    parts = module.split(".")[1:]
    if parts == ["__init__"]:
        return ""
    merlin = parts[0] == "tf" and parts[1] in ("merlin_models", "merlin_interfaces")
    return "tf.merlin_models" if merlin else parts[0]


def violations(module: str, source: str) -> List[str]:
    """What a module imports, anywhere in its code, and must not."""
    folder = folder_of(module)
    if not folder:
        return []
    found = []
    for name in imports_of(source, module):
        if name.split(".")[0] == PACKAGE_NAME:
            found += [] if _may_import(folder, name) else [f"{module} imports {name}"]
        elif folder in NUMPY_ONLY:
            if name.split(".")[0] not in {"numpy", *standard_library()}:
                found.append(f"{module} imports {name}, beside NumPy and the standard library")
        elif any((name + ".").startswith(root + ".") for root in MUST_NOT.get(folder, ())):
            found.append(f"{module} imports {name}")
    return found


def _may_import(folder: str, name: str) -> bool:
    inner = name[len(PACKAGE_NAME) + 1 :]
    if not inner:  # the package itself: its public names would hide which module is meant
        return False
    own = folder.split(".", maxsplit=1)[0]
    return inner.split(".", maxsplit=1)[0] in (own, *MAY_IMPORT[own])


def closure(modules: Dict[str, str], start: str) -> Tuple[Set[str], Set[str]]:
    """Modules of the package, and foreign names, that importing `start` imports, transitively."""
    own, foreign, open_ = set(), set(), [start]
    while open_:
        module = open_.pop()
        if module in own:
            continue
        own.add(module)
        parts = module.split(".")
        parents = [".".join([*parts[:end], "__init__"]) for end in range(1, len(parts))]
        for name in [*parents, *imports_of(modules[module], module, eager=True)]:
            if not name.startswith(PACKAGE_NAME):
                foreign.add(name)
            elif name in modules:
                open_.append(name)
            elif f"{name}.__init__" in modules:
                open_.append(f"{name}.__init__")
    return own, foreign


def cycles(modules: Dict[str, str]) -> List[str]:
    """Modules that import themselves, through others or not; a folder's `__init__` apart."""
    direct = {
        module: {
            name
            for name in imports_of(source, module, eager=True)
            if name in modules and not name.endswith("__init__")
        }
        for module, source in modules.items()
    }
    found = []
    for module in modules:
        reached: Set[str] = set()
        open_ = list(direct[module])
        while open_:
            name = open_.pop()
            if name not in reached:
                reached.add(name)
                open_.extend(direct[name])
        if module in reached:
            found.append(module)
    return found


def standard_library() -> frozenset:
    names = getattr(sys, "stdlib_module_names", None)  # from Python 3.10 on
    if names is None:
        folder = Path(ast.__file__).parent
        files = [*folder.iterdir(), *(folder / "lib-dynload").iterdir()]
        names = {*sys.builtin_module_names, *(file.name.split(".")[0] for file in files)}
    return frozenset(names)
