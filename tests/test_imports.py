"""Tests imports that import-linter cannot check, and the modules that each use loads."""

import json
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest

import merlin_popsampler
from merlin_popsampler.contract.metadata import PopularityMetadata
from tests.support.imports import (
    FRAMES,
    FRAMEWORKS,
    imports_by_name,
    imports_of,
    sources,
    standard_library,
)

MODULES = sources(Path(merlin_popsampler.__file__).parent)
ROOT = merlin_popsampler.__name__
NUMPY_ONLY = tuple(f"{ROOT}.{folder}" for folder in ("errors", "core", "distributions"))


def violations(module: str, source: str) -> List[str]:
    """Returns the forbidden imports of a module, also inside functions."""
    found = []
    for name in imports_of(source, module):
        root = name.split(".")[0]
        if name == ROOT or (root == ROOT and name.count(".") == 1 and not is_folder(name)):
            found.append(f"{module} imports {name}: import it from the module that defines it")
        if module.startswith(NUMPY_ONLY) and root not in {ROOT, "numpy", *standard_library()}:
            found.append(f"{module} imports {name}, besides NumPy and the standard library")
        if module.startswith(f"{ROOT}.ops.") and name.startswith("merlin.models"):
            found.append(f"{module} imports {name}")
    lazy = (f"{ROOT}.__init__", f"{ROOT}.tf.merlin_models.__init__", f"{ROOT}.compat.")
    return found + [f"{module} imports by name"] * (
        imports_by_name(source) and not module.startswith(lazy)
    )


def is_folder(name: str) -> bool:
    return name in MODULES or f"{name}.__init__" in MODULES


def test_every_module_says_what_it_holds():
    undocumented = [name for name, source in MODULES.items() if not source.startswith('"""')]
    assert undocumented == []


@pytest.mark.parametrize("module", [name for name in MODULES if name != f"{ROOT}.__init__"])
def test_a_module_imports_only_what_it_may(module):
    assert violations(module, MODULES[module]) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.domain", "from merlin_popsampler import PopularityBasedSampler"),
        ("core.domain", "from .. import PopularityBasedSampler"),
        ("core.distributions", "import importlib\nimportlib.import_module('tensorflow')"),
        ("core.distributions", "def f():\n    import pandas as pd"),
        ("core.distributions", "import scipy"),
        ("errors", "import torch"),
        ("ops.frequency_order", "from merlin import models"),
        ("ops.frequency_order", "def f():\n    import merlin.models.tf"),
    ],
)
def test_a_wrong_import_is_found(module, source):
    assert violations(f"{ROOT}.{module}", source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.distributions", "import math\nimport numpy.typing as npt\nfrom .domain import Id"),
        ("core.distributions", "from merlin_popsampler.errors import PopSamplerError"),
        ("ops.frequency_order", "import nvtabular\nfrom merlin import schema\nfrom . import keys"),
        ("ops.frequency_order", "from merlin_popsampler.contract import metadata"),
        ("tf.merlin_interfaces", "def f():\n    from merlin.models.tf import Model"),
        ("cli.inspect", "from merlin_popsampler.store import artifact"),
    ],
)
def test_a_right_import_is_let_pass(module, source):
    assert violations(f"{ROOT}.{module}", source) == []


def loaded_by(statement: str, after: str = "") -> List[str]:
    """Returns the modules that a statement loads in a new process, after `after` has run."""
    before = "{*sys.modules}" if after else "set()"
    code = f"import sys\n{after}\nbefore = {before}\n{statement}\nprint(*{{*sys.modules}} - before)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    return done.stdout.split()


HEAVY = {*FRAMEWORKS, *FRAMES, "nvtabular", "merlin"}


def test_importing_the_package_loads_neither_half():
    loaded = loaded_by("import merlin_popsampler")
    assert "merlin_popsampler" in loaded
    assert HEAVY.isdisjoint(loaded)


def test_core_and_contract_load_nothing_heavy():
    names = [name for name in MODULES if name.startswith((*NUMPY_ONLY, f"{ROOT}.contract"))]
    loaded = loaded_by("\n".join(f"import {name}" for name in names))
    assert "numpy" in loaded
    assert HEAVY.isdisjoint(loaded)


@pytest.mark.parametrize(
    ("name", "missing", "message"),
    [
        ("FrequencyCategorify", "dask", "the extra 'nvtabular'"),
        ("id_map", "fsspec", "id_map reads the files of fits, but: import of fsspec"),
        ("read_keys", "fsspec", "needs fsspec, pandas and pyarrow"),
    ],
)
def test_a_name_without_its_libraries_names_what_is_missing(name, missing, message):
    told = loaded_by(
        f"import sys\nsys.modules[{missing!r}] = None\nimport merlin_popsampler\n"
        f"try:\n    merlin_popsampler.{name}\n"
        "except ModuleNotFoundError as error:\n"
        f"    assert error.name == {missing!r}\n"
        f"    print('told' if {message!r} in str(error) else error)"
    )
    assert "told" in told


def test_a_schema_is_read_from_its_path_by_the_standard_library(tmp_path):
    """Reading either type of file loads neither Merlin nor protobuf nor pickle."""
    metadata = PopularityMetadata(3, 6, True, "counted", "3:9,4:8,6:1,7").to_dict()
    annotation = {"tag": ["item", "id"], "extraMetadata": [{"popularity": metadata}]}
    feature = {"name": "item", "type": "INT", "annotation": annotation}
    (tmp_path / "schema.json").write_text(json.dumps({"feature": [feature]}))
    (tmp_path / "schema.pbtxt").write_text(
        'feature { name: "item" type: INT annotation { tag: "item_id" extra_metadata { '
        "[type.googleapis.com/google.protobuf.Struct] { fields { key: 'popularity' value { "
        f"struct_value {{ {fields_of_text(metadata)} }} }} }} }} }} }} }}"
    )
    for name in ("schema.json", "schema.pbtxt"):
        loaded = loaded_by(
            "from merlin_popsampler import read_popularity\n"
            f"assert read_popularity({str(tmp_path / name)!r}).steps == {metadata['steps']!r}",
            after="import numpy",
        )
        assert {*HEAVY, "google", "betterproto", "pickle"}.isdisjoint(loaded)


def fields_of_text(values):
    kinds = {bool: "bool_value", int: "number_value", str: "string_value"}
    written = {name: json.dumps(value) for name, value in values.items()}
    return " ".join(
        f'fields {{ key: "{name}" value {{ {kinds[type(value)]}: {written[name]} }} }}'
        for name, value in values.items()
    )


def test_drawing_loads_nothing_but_tensorflow():
    """Keras imports pandas by itself, so modules of TensorFlow are excluded."""
    pytest.importorskip("tensorflow")
    drawing = (
        "from merlin_popsampler import PopularityBasedSampler\n"
        "PopularityBasedSampler(9, 3, 2).sampled_values([[4]])"
    )
    keras = "import tensorflow as tf\ntf.keras.layers.Dense(1)(tf.ones([1, 1]))"
    ours = loaded_by(drawing, after=keras)
    assert "merlin_popsampler.tf.sampler" in ours
    assert HEAVY.isdisjoint(ours)


def test_drawing_loads_nothing_but_torch():
    pytest.importorskip("torch")
    drawing = (
        "from merlin_popsampler.torch import PopularityBasedSampler\n"
        "PopularityBasedSampler(9, 3, 2).sampled_values([[4]])"
    )
    ours = loaded_by(drawing, after="import torch, torch.compiler, torch.func")
    assert "merlin_popsampler.torch.sampler" in ours
    assert HEAVY.isdisjoint(ours)
