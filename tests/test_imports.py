"""Imports between folders point one way, and what is heavy loads on first use."""

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
    MAY_IMPORT,
    NUMPY_ONLY,
    closure,
    cycles,
    folder_of,
    sources,
    standard_library,
    violations,
)

MODULES = sources(Path(merlin_popsampler.__file__).parent)
ROOT = merlin_popsampler.__name__


SIDES = {"tf": FRAMEWORKS - {"torch"}, "torch": {"torch"}}
"""The folder of each framework, and the packages that it alone may load."""


def roots(names):
    return {name.split(".")[0] for name in names}


def test_every_module_is_in_a_folder_with_rules():
    folders = {folder_of(module).split(".")[0] for module in MODULES} - {""}
    assert folders == set(MAY_IMPORT)


def test_every_module_says_what_it_holds():
    undocumented = [name for name, source in MODULES.items() if not source.startswith('"""')]
    assert undocumented == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_folder_may(module):
    assert violations(module, MODULES[module]) == []


def test_no_module_imports_itself_through_others():
    assert cycles(MODULES) == []


@pytest.mark.parametrize("module", MODULES)
def test_nothing_comes_in_through_a_third_module(module):
    """What importing a module imports, over any number of steps."""
    folder = folder_of(module).split(".")[0]
    own, foreign = closure(MODULES, module)
    reached = {folder_of(name).split(".")[0] for name in own} - {""}
    if folder in NUMPY_ONLY or module == f"{ROOT}.__init__":
        assert roots(foreign) <= {"numpy", *standard_library()}
    for own_folder, frameworks in SIDES.items():
        if folder not in (own_folder, ""):
            assert roots(foreign).isdisjoint(frameworks)
            assert own_folder not in reached
    if folder in SIDES:
        assert reached.isdisjoint({"ops", "store"})
        assert roots(foreign).isdisjoint({*FRAMES, "nvtabular"})
        # What subclasses Merlin's classes needs them, and nothing else may need that.
        assert "merlin" not in roots(foreign) or folder_of(module) == "tf.merlin_models"
    if folder == "contract":
        assert roots(foreign).isdisjoint({*FRAMES, "merlin", "nvtabular"})
    if folder in ("cli", "store", "__main__"):
        assert roots(foreign).isdisjoint({"nvtabular", "dask", "merlin"})


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.domain", "from merlin_popsampler.contract.schema import read_popularity"),
        ("core.domain", "from merlin_popsampler import contract"),
        ("core.domain", "from merlin_popsampler import PopularityBasedSampler"),
        ("core.domain", "from .. import tf"),
        ("core.domain", "from ..tf import inverse"),
        ("core.distributions", "import importlib\nimportlib.import_module('tensorflow')"),
        ("core.distributions", "def f():\n    import pandas as pd"),
        ("core.distributions", "import scipy"),
        ("errors", "from merlin_popsampler.core import domain"),
        ("contract.metadata", "import nvtabular"),
        ("contract.schema", "def f():\n    import tensorflow"),
        ("contract.schema", "def f():\n    from merlin.schema import Schema"),
        ("contract.proto_text", "def f():\n    from google.protobuf import text_format"),
        ("ops.frequency_order", "from tensorflow import math"),
        ("ops.frequency_order", "from merlin import models"),
        ("ops.frequency_order", "import keras.layers"),
        ("ops.frequency_order", "from merlin_popsampler.tf.sampler import PopularityBasedSampler"),
        ("ops.lookup", "from merlin_popsampler.cli import pictures"),
        ("store.artifact", "from merlin_popsampler.ops import counting"),
        ("store.locations", "def f():\n    import nvtabular"),
        ("store.counts_file", "def f():\n    import dask"),
        ("tf.sampler", "def f():\n    from nvtabular.ops import Categorify"),
        ("tf.sampler", "def f():\n    from merlin_popsampler.ops import FrequencyCategorify"),
        ("tf.sampler", "from merlin_popsampler.store.filesystem import Ints"),
        ("tf.sampler", "from merlin.models.tf import Model"),
        ("tf.merlin_interfaces", "import pandas"),
        ("tf.sampler", "from merlin_popsampler.torch import philox"),
        ("torch.sampler", "from merlin_popsampler.tf.ids import integers"),
        ("torch.sampler", "def f():\n    import tensorflow as tf"),
        ("torch.sampler", "from merlin.schema import Schema"),
        ("core.philox", "import torch"),
        ("cli.inspect", "from merlin_popsampler.ops.vocabulary import stage"),
        ("cli.inspect", "from merlin_popsampler.ops import counting"),
        ("cli.inspect", "import merlin.schema"),
        ("__main__", "from .core import distributions"),
    ],
)
def test_a_wrong_import_is_found(module, source):
    assert violations(f"{ROOT}.{module}", source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "core.distributions",
            "import math\nimport numpy.typing as npt\nfrom .domain import IdDomain",
        ),
        ("core.distributions", "from merlin_popsampler.errors import PopSamplerError"),
        ("contract.schema_file", "def f():\n    import fsspec"),
        ("ops.frequency_order", "import nvtabular\nfrom merlin import schema\nfrom . import keys"),
        ("ops.frequency_order", "from merlin_popsampler.contract import metadata"),
        ("tf.sampler", "import tensorflow as tf\nfrom .ranks import draw_ranks"),
        ("tf.merlin_interfaces", "def f():\n    from merlin.models.tf import Model"),
        (
            "torch.sampler",
            "import torch\nfrom merlin_popsampler.core.distributions import Distribution",
        ),
        ("cli.inspect", "from merlin_popsampler.cli.column_report import ColumnReport"),
        ("cli.inspect", "from merlin_popsampler.store import artifact"),
        ("ops.vocabulary", "from merlin_popsampler.store.artifact import FitFolder"),
    ],
)
def test_a_right_import_is_let_pass(module, source):
    assert violations(f"{ROOT}.{module}", source) == []


def test_what_comes_through_a_third_module_is_found():
    modules = {
        **MODULES,
        f"{ROOT}.contract.schema": "from merlin.schema import Schema",
        f"{ROOT}.core.domain": "from . import distributions",
    }
    _, foreign = closure(modules, f"{ROOT}.tf.sampler")
    assert "merlin" in roots(foreign)
    assert f"{ROOT}.core.domain" in cycles(modules)


def loaded_by(statement: str) -> List[str]:
    """Modules in `sys.modules` of a fresh process after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
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
    names = [name for name in MODULES if folder_of(name) in (*NUMPY_ONLY, "contract")]
    loaded = loaded_by("\n".join(f"import {name}" for name in names))
    assert "numpy" in loaded
    assert HEAVY.isdisjoint(loaded)


def test_a_schema_is_read_from_its_path_by_the_standard_library(tmp_path):
    """Neither Merlin nor protobuf nor pickle takes part, for both kinds of file."""
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
            f"assert read_popularity({str(tmp_path / name)!r}).steps == {metadata['steps']!r}"
        )
        assert {*HEAVY, "google", "betterproto", "pickle"}.isdisjoint(
            set(loaded) - set(loaded_by("import numpy"))
        )


def fields_of_text(values):
    kinds = {bool: "bool_value", int: "number_value", str: "string_value"}
    written = {name: json.dumps(value) for name, value in values.items()}
    return " ".join(
        f'fields {{ key: "{name}" value {{ {kinds[type(value)]}: {written[name]} }} }}'
        for name, value in values.items()
    )


def test_drawing_loads_nothing_but_tensorflow():
    """Keras looks for pandas by itself, so what TensorFlow loads is asked for first."""
    pytest.importorskip("tensorflow")
    drawing = (
        "from merlin_popsampler import PopularityBasedSampler\n"
        "PopularityBasedSampler(9, 3, 2).sampled_values([[4]])"
    )
    keras = "import tensorflow as tf\ntf.keras.layers.Dense(1)(tf.ones([1, 1]))"
    ours = set(loaded_by(drawing)) - set(loaded_by(keras))
    assert "merlin_popsampler.tf.sampler" in ours
    assert HEAVY.isdisjoint(ours)
