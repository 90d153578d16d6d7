"""Runs the code on the pages about PyTorch."""

import re
import sys
from pathlib import Path

import pytest

import merlin_popsampler

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(code, id=f"{name}-{number}")
    for name in ("README.md", "docs/torch.md", "docs/refits.md")
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)
    )
    if "import torch" in code
]


@pytest.mark.parametrize("code", BLOCKS)
@pytest.mark.filterwarnings("ignore:.* are missing")
def test_python_blocks_run(code):
    if "import polars" in code:
        pytest.importorskip("polars")
    exec(compile(code, "a page", "exec"), {})


def test_the_keras_layer_without_tensorflow_names_the_module_for_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # its import fails, here also if installed
    for module in [name for name in sys.modules if name.startswith("merlin_popsampler.tf")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(vars(merlin_popsampler), "PopularityBasedSampler", raising=False)
    with pytest.raises(ModuleNotFoundError, match="import it from merlin_popsampler.torch"):
        _ = merlin_popsampler.PopularityBasedSampler


def test_the_readme_shows_pytorch():
    assert any(parameter.id.startswith("README.md") for parameter in BLOCKS)
