"""Changes the result of an import at the time of that import."""

import inspect
import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional

Change = Callable[[Any], None]


def alias(name: str, target: str) -> None:
    """Makes `import name` return the module `target`, which is imported at that time.

    The same holds for the modules below `name` and `target`.

    Args:
      name: dotted name of a module that does not exist, in a package that exists.
      target: dotted name of the module that replaces it.
    """
    _finder().aliases[name] = target


def after_import(name: str, change: Change) -> None:
    """Calls `change(module)` after the import of a module; at once if it is imported already.

    Args:
      name: dotted name of the module.
      change: function that changes the module in place.
    """
    if name in sys.modules:
        change(sys.modules[name])
    else:
        _finder().changes.setdefault(name, []).append(change)


def replace_source(module: Any, function: str, old: str, new: str) -> None:
    """Compiles a function of a module again, with `new` in place of `old` in its source.

    Args:
      module: the module.
      function: name of the function, a global of the module.
      old: text to replace; if the source does not contain it, nothing changes.
      new: text that replaces it.
    """
    given = inspect.getsource(getattr(module, function))
    changed = given.replace(old, new)
    if changed != given:
        exec(changed, module.__dict__)  # noqa: S102 - the module's own source


class _Finder(MetaPathFinder):
    """Finds registered names; it is the first finder in `sys.meta_path`."""

    def __init__(self) -> None:
        self.aliases: Dict[str, str] = {}
        self.changes: Dict[str, List[Change]] = {}

    def find_spec(
        self, name: str, path: Any = None, target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        real = self.target_of(name)
        if real is not None:
            return ModuleSpec(name, _Alias(real))
        if name not in self.changes:
            return None
        later = sys.meta_path[sys.meta_path.index(self) + 1 :]
        specs = (finder.find_spec(name, path, target) for finder in later)
        spec = next(filter(None, specs), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Changed(spec.loader, self.changes[name])
        return spec

    def target_of(self, name: str) -> Optional[str]:
        if not name or name in self.aliases:
            return self.aliases.get(name)
        parent, _, last = name.rpartition(".")
        above = self.target_of(parent)
        return f"{above}.{last}" if above else None


class _Alias(Loader):
    def __init__(self, target: str) -> None:
        self.target = target

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = import_module(self.target)  # import returns this module


class _Changed(Loader):
    def __init__(self, loader: Loader, changes: List[Change]) -> None:
        self.loader = loader
        self.changes = changes

    def create_module(self, spec: ModuleSpec) -> Optional[ModuleType]:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        for change in self.changes:
            change(module)

    def __getattr__(self, name: str) -> Any:  # for readers of resources and sources
        return getattr(self.loader, name)


def _finder() -> _Finder:
    for finder in sys.meta_path:
        if isinstance(finder, _Finder):
            return finder
    sys.meta_path.insert(0, _Finder())
    return _finder()
