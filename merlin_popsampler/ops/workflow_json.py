"""Saving in the workflows that NVTabular writes as JSON, instead of pickling them (after 23.8).

An operator's state is written as plain values, and read back without running anything: the only
objects are dataclasses and options of this package. What an operator knows of files is copied to
the workflow's folder first.
"""

from contextlib import suppress
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Dict, Tuple, Type, TypeVar

import numpy as np

from merlin_popsampler.errors import PopSamplerError

from .column_options import PerColumn

_PACKAGE = __name__.split(".", maxsplit=1)[0]
_SEQUENCES: Dict[str, Any] = {kind.__name__: kind for kind in (list, tuple, set, frozenset)}
_Class = TypeVar("_Class", bound=Type[Any])


def saved_as_json(operator: _Class) -> _Class:
    """A class decorator: tells NVTabular how to save the operator, where it has to be told."""
    try:
        from nvtabular.workflow import graph_serializer
    except ImportError:  # it pickles operators
        return operator

    def from_dict(_: Dict[str, Any], state: Dict[str, Any], folder: str) -> Any:
        restored: Any = object.__new__(operator)
        restored.__setstate__(from_json(state))
        restored.set_storage_path(folder)
        return restored

    if not graph_serializer._REGISTRY:  # noqa: SLF001 - it has no public way to register
        graph_serializer._build_registry()  # noqa: SLF001
    name = f"{operator.__module__}.{operator.__qualname__}"
    graph_serializer._register(name, operator, _to_dict, from_dict)  # noqa: SLF001
    return operator


def to_json(value: Any) -> Any:
    """A value of an operator's state as JSON can hold it; objects are dicts with their kind."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        written = {"dict": [[to_json(key), to_json(held)] for key, held in value.items()]}
        return {**written, "default": value.default} if isinstance(value, PerColumn) else written
    if type(value).__name__ in _SEQUENCES:
        return {type(value).__name__: [to_json(held) for held in value]}
    if is_dataclass(value):
        held = {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
        return {"class": f"{type(value).__module__}.{type(value).__qualname__}", "fields": held}
    if isinstance(value, Path):
        return str(value)
    return {"dtype": np.dtype(value).str}


def from_json(written: Any) -> Any:
    """What `to_json` was given."""
    if not isinstance(written, dict):
        return written
    kind = next(iter(written))
    held = written[kind]
    if kind == "dict":
        found = {from_json(key): from_json(value) for key, value in held}
        return PerColumn(found, written["default"]) if "default" in written else found
    if kind == "class":
        return _dataclass(held)(**{k: from_json(v) for k, v in written["fields"].items()})
    if kind == "dtype":
        return np.dtype(held)
    return _SEQUENCES[kind](from_json(value) for value in held)


def _to_dict(operator: Any, folder: str, fs: Any) -> Tuple[Dict[str, Any], Any]:
    fs.makedirs(folder, exist_ok=True)
    operator.set_storage_path(folder, copy=True)
    return {}, to_json(operator.__getstate__())


def _dataclass(name: str) -> Any:
    """A dataclass of this package, and nothing else, whoever wrote the file."""
    module, _, qualified = name.rpartition(".")
    found = None
    if module.split(".")[0] == _PACKAGE:
        with suppress(ImportError):
            found = getattr(import_module(module), qualified, None)
    if not (isinstance(found, type) and is_dataclass(found)):
        raise PopSamplerError(
            f"Expected a workflow of this package's operators. Received: state of {name!r}. Save "
            "the workflow anew, with this version of merlin_popsampler."
        )
    return found
