"""Tests which versions of NVTabular are accepted, and the errors for all other ones."""

import runpy
import sys
from importlib.util import find_spec
from types import ModuleType

import pytest

from merlin_popsampler import PopSamplerError

SOURCE = find_spec("merlin_popsampler.ops.nvtabular_compat").origin


def stand_in(**offsets):
    """Imitates the modules of an NVTabular with another layout."""
    names = (
        "nvtabular",
        "nvtabular.ops",
        "nvtabular.ops.categorify",
        "nvtabular.ops.stat_operator",
    )
    modules = {name: ModuleType(name) for name in names}
    nvtabular, ops, categorify, stat_operator = modules.values()
    nvtabular.__version__, nvtabular.ops = "22.1", ops
    ops.Categorify, ops.categorify = object, categorify
    stat_operator.StatOperator = object
    categorify.__dict__.update(offsets, _emb_sz_rule=lambda rows: (rows, 7 * rows))
    return modules


def loaded_with(monkeypatch, modules):
    """Runs the module anew with other modules present, and returns its names."""
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return runpy.run_path(SOURCE)


def test_the_layout_that_is_relied_on(monkeypatch):
    found = loaded_with(monkeypatch, stand_in(PAD_OFFSET=0, NULL_OFFSET=1, OOV_OFFSET=2))
    assert found["embedding_width"](5) == 35


@pytest.mark.parametrize(
    ("offsets", "shown"),
    [
        ({}, r"\(None, None, None\)"),
        ({"PAD_OFFSET": 0, "NULL_OFFSET": 0, "OOV_OFFSET": 1}, r"\(0, 0, 1\)"),
        ({"PAD_OFFSET": 0, "NULL_OFFSET": 1}, r"\(0, 1, None\)"),
        ({"PAD_OFFSET": 0, "NULL_OFFSET": 2, "OOV_OFFSET": 1}, r"\(0, 2, 1\)"),
    ],
)
def test_another_layout_is_refused(monkeypatch, offsets, shown):
    message = rf"NVTabular 22\.1 with padding, null, unknown = {shown}.*Install nvtabular 23"
    with pytest.raises(PopSamplerError, match=message):
        loaded_with(monkeypatch, stand_in(**offsets))


def test_no_nvtabular_at_all(monkeypatch):
    with pytest.raises(
        ImportError, match=r"need NVTabular.*merlin-popsampler\[nvtabular\]"
    ) as info:
        loaded_with(monkeypatch, {"nvtabular": None})
    assert isinstance(info.value.__cause__, ImportError)


def test_the_installed_one():
    from merlin_popsampler.ops.nvtabular_compat import embedding_width

    assert [embedding_width(rows) for rows in (1, 100, 1000, 10**6)] == [16, 21, 77, 512]
