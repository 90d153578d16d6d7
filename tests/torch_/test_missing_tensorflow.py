"""Tests what an import of the Keras layer says where only PyTorch is installed."""

import sys

import pytest

import merlin_popsampler


def test_the_keras_layer_without_tensorflow_names_the_module_for_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # its import fails, here also if installed
    for module in [name for name in sys.modules if name.startswith("merlin_popsampler.tf")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(vars(merlin_popsampler), "PopularityBasedSampler", raising=False)
    with pytest.raises(ModuleNotFoundError, match="import it from merlin_popsampler.torch"):
        _ = merlin_popsampler.PopularityBasedSampler
