"""Tests which versions need which adaptations, and the effect of each adaptation.

Cases: packages absent, versions on both sides of each limit, a second call, a process that
has imported dask's data frames or TensorFlow already, a process that it starts.
"""

import json
import os
import sys
import types

import numpy as np
import pytest

from merlin_popsampler import PopSamplerError, compat
from merlin_popsampler.compat import adaptation, frames, importing, keras2
from tests.support.processes import run_python

MERLIN = {"merlin-core": (23, 8), "merlin-models": (23, 12), "nvtabular": (23, 8)}
OWN = {**MERLIN, "dask": (2023, 3, 2), "keras": (2, 12)}
"""The versions for which Merlin was last released."""
FRAMES = ("keep_objects", "enable_in_workers")
PLANNED = ("plan_no_queries", *FRAMES)
EXPRESSIONS = (
    "restore_names",
    "show_graphs",
    "leave_optimizing_to_dask",
    "keep_partitions",
    "plan_parquet",
    "sort_without_divisions",
)
SORT = EXPRESSIONS[-1]
KERAS = (
    "choose_keras_2",
    "find_inner_modules",
    "find_tracking",
    "find_dlpack",
    "serialize_metrics",
    "share_built_in_layers",
)


def needed():
    return tuple(each.name for each in compat.ADAPTATIONS if each.is_needed())


@pytest.fixture
def versions(monkeypatch):
    """Simulates installed versions for the adaptations."""

    def install(found):
        monkeypatch.setattr(adaptation, "installed", found.get)

    return install


@pytest.mark.parametrize(
    "found, names",
    [
        (OWN, ()),
        ({**OWN, "dask": (2023, 7, 0)}, ()),
        ({**OWN, "dask": (2023, 7, 1)}, FRAMES),
        ({**OWN, "dask": (2024, 2, 1)}, (*FRAMES, SORT)),
        ({**OWN, "dask": (2024, 12, 1)}, (*PLANNED, SORT)),
        ({**OWN, "dask": (2025, 1, 0)}, (*FRAMES, *EXPRESSIONS)),
        (
            {**OWN, "dask": (2026, 8, 0), "pandas": (3, 1)},
            (*FRAMES, "write_to_copies", *EXPRESSIONS),
        ),
        ({**OWN, "pandas": (2, 3, 3)}, ()),
        ({**OWN, "pandas": (3, 1, 1)}, ("write_to_copies",)),
        ({**OWN, "keras": (2, 15)}, ()),
        ({**OWN, "keras": (3, 0)}, KERAS),
        ({**OWN, "keras": (3, 15, 1), "dask": (2024, 12, 1)}, (*PLANNED, SORT, *KERAS)),
        ({"dask": (2026, 8), "keras": (3, 15)}, ()),  # Merlin is absent
        ({**MERLIN}, ()),  # all packages that it uses are absent
    ],
)
def test_versions_decide(found, names, versions):
    versions(found)
    assert needed() == names


def test_a_version_is_its_numbers():
    assert adaptation.installed("no-such-distribution") is None
    assert adaptation.installed("numpy") >= (1, 22)


def test_every_adaptation_gives_its_reason():
    assert all((each.apply.__doc__ or "").strip() for each in compat.ADAPTATIONS)


def test_beside_merlins_own_versions_it_does_nothing(versions, monkeypatch):
    import dask

    versions(OWN)
    monkeypatch.delenv(keras2.CHOICE, raising=False)
    before = [*sys.meta_path], dict(os.environ), json.dumps(dask.config.config)
    assert compat.enable() == ()
    assert before == ([*sys.meta_path], dict(os.environ), json.dumps(dask.config.config))


def test_keras_3_can_be_chosen(versions, monkeypatch):
    versions({**OWN, "keras": (3, 15)})
    monkeypatch.setenv(keras2.CHOICE, "0")
    assert compat.enable() == ()
    assert os.environ[keras2.CHOICE] == "0"


def test_dask_frames_that_plan_queries_are_refused(monkeypatch):
    planned = types.SimpleNamespace(DataFrame=type("DataFrame", (), {}))
    planned.DataFrame.__module__ = "dask_expr._collection"
    monkeypatch.setitem(sys.modules, "dask.dataframe", planned)
    with pytest.raises(PopSamplerError, match=r"before the first import of dask\.dataframe"):
        frames.plan_no_queries()


@pytest.fixture
def tf_keras(monkeypatch):
    monkeypatch.setattr(keras2, "find_spec", lambda name: object())


def test_tensorflow_that_was_imported_with_keras_3_is_refused(monkeypatch, tf_keras):
    monkeypatch.setitem(sys.modules, "tensorflow", types.ModuleType("tensorflow"))
    monkeypatch.delenv(keras2.CHOICE, raising=False)
    with pytest.raises(PopSamplerError, match="before the first import of TensorFlow"):
        keras2.choose_keras_2()
    assert keras2.CHOICE not in os.environ


def test_tensorflow_that_was_imported_with_keras_2_is_fine(monkeypatch, tf_keras):
    monkeypatch.setitem(sys.modules, "tensorflow", types.ModuleType("tensorflow"))
    monkeypatch.setenv(keras2.CHOICE, "1")
    keras2.choose_keras_2()


def test_keras_2_must_be_installed(monkeypatch):
    monkeypatch.setattr(keras2, "find_spec", lambda name: None)
    with pytest.raises(PopSamplerError, match="Expected the package tf_keras"):
        keras2.choose_keras_2()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Modules on the path: `old_home`, and `new_home.inner.leaf` that counts its imports."""
    for folder in ("old_home", "new_home", "new_home/inner"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
    (tmp_path / "new_home/inner/leaf.py").write_text("value = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    yield
    for name in [*sys.modules]:
        if name.startswith(("old_home", "new_home")):
            del sys.modules[name]


def test_an_alias_is_the_module_itself(package):
    importing.alias("old_home.outer", "new_home.inner")
    assert "new_home" not in sys.modules  # not before it is asked for
    import old_home.outer.leaf
    from old_home import outer

    real = sys.modules["new_home.inner.leaf"]
    assert old_home.outer.leaf is real
    assert outer is sys.modules["new_home.inner"]
    assert real.__spec__.name == real.__name__ == "new_home.inner.leaf"
    with pytest.raises(ModuleNotFoundError, match=r"new_home\.inner\.absent"):
        import old_home.outer.absent


def test_a_module_is_changed_once_it_is_imported(package):
    def change(module):
        module.value += 1

    importing.after_import("new_home.inner.leaf", change)
    importing.after_import("new_home.inner.leaf", change)
    from new_home.inner import leaf

    assert leaf.value == 3
    assert leaf.__spec__.loader.get_filename() == leaf.__file__  # as by its own loader
    importing.after_import("new_home.inner.leaf", change)
    assert leaf.value == 4


def test_one_finder_serves_all(package):
    importing.alias("old_home.a", "new_home.a")
    count = len(sys.meta_path)
    importing.after_import("old_home.b", print)
    assert len(sys.meta_path) == count


@pytest.mark.newer_versions
class TestInTheVersionsThatNeedThem:
    """Calls it in new processes, as a program does."""

    def test_a_second_call_changes_nothing(self):
        run_python("""
import os, sys
from merlin_popsampler import compat
first = compat.enable()
import dask
state = [*sys.meta_path], dict(os.environ), repr(dask.config.config)
assert first and compat.enable() == first
assert state == ([*sys.meta_path], dict(os.environ), repr(dask.config.config))
assert not {"tensorflow", "keras", "tf_keras", "merlin", "dask.dataframe"} & {*sys.modules}
""")

    def test_started_processes_and_workers_have_it(self, monkeypatch):
        monkeypatch.delenv("DASK_DATAFRAME__CONVERT_STRING", raising=False)
        run_python("""
import subprocess, sys
from merlin_popsampler import compat

def seen():
    import dask
    option = dask.config.get("dataframe.convert-string")
    return "merlin_popsampler.compat.preload" in sys.modules, option

if __name__ == "__main__":
    compat.enable()
    code = "import dask; print(dask.config.get('dataframe.convert-string'))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\\n"
    import distributed
    cluster = distributed.LocalCluster(1, processes=True, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        assert client.submit(seen).result() == (True, False)
""")

    def test_objects_are_kept(self):
        import dask.dataframe as dd
        import pandas as pd

        kept = dd.from_pandas(pd.DataFrame({"bag": [["tea"], ["jam", "rye"]]}), npartitions=1)
        assert [*map(type, kept.compute()["bag"])] == [list, list]

    def test_categorify_encodes_nulls(self, out_path):
        """Without `write_to_copies` this fails with pandas 3."""
        import nvtabular as nvt
        import pandas as pd

        data = nvt.Dataset(pd.DataFrame({"item": ["tea", None, "jam", "tea"]}), cpu=True)
        workflow = nvt.Workflow(["item"] >> nvt.ops.Categorify(out_path=out_path))
        assert workflow.fit_transform(data).compute()["item"].tolist() == [3, 1, 4, 3]

    def test_a_hash_bucket_of_whole_numbers(self):
        """Without `restore_names` this fails with dask 2025 and later."""
        import nvtabular as nvt
        import pandas as pd

        data = nvt.Dataset(pd.DataFrame({"item": [7, 8]}), cpu=True)
        made = nvt.Workflow(["item"] >> nvt.ops.HashBucket(5)).fit_transform(data).compute()
        assert made["item"].between(0, 4).all()


@pytest.mark.newer_versions
@pytest.mark.keras2
@pytest.mark.merlin_models
class TestKeras2:
    """Tests this process, in which conftest.py has called it."""

    def test_tf_keras_is_keras_2(self):
        import tensorflow as tf
        import tf_keras

        assert tf.keras.layers.Layer is tf_keras.layers.Layer

    @pytest.mark.parametrize("name", keras2.INNER)
    def test_inner_modules_are_found(self, name):
        import importlib

        found = importlib.import_module(f"keras.{name}")
        assert found is importlib.import_module(f"tf_keras.src.{name}")

    def test_tracking_is_found(self):
        import tensorflow as tf
        from tensorflow.python.training.tracking.data_structures import ListWrapper

        module = tf.Module()
        module.parts = []
        assert type(module.parts) is ListWrapper

    def test_dlpack_is_found(self):
        import tensorflow as tf
        from tensorflow.python import from_dlpack, to_dlpack

        assert from_dlpack(to_dlpack(tf.constant([1, 2]))).numpy().tolist() == [1, 2]

    def test_metrics_are_serialized(self):
        import merlin.models.tf as mm
        import tensorflow as tf

        aggregator = mm.TopKMetricsAggregator(mm.RecallAt(3), mm.NDCGAt(5))
        again = mm.TopKMetricsAggregator.from_config(aggregator.get_config())
        assert [type(each) for each in again.topk_metrics] == [mm.RecallAt, mm.NDCGAt]
        assert [each.k for each in again.topk_metrics] == [3, 5]
        with pytest.raises(ValueError, match="it is a metric"):  # why it is needed
            tf.keras.layers.serialize(mm.RecallAt(3))

    def test_a_built_in_layer_stays_shared(self, tmp_path):
        import tensorflow as tf

        @tf.keras.saving.register_keras_serializable("tests")
        class Twice(tf.keras.layers.Wrapper):
            def call(self, inputs):
                return self.layer(self.layer(inputs))

            @classmethod
            def from_config(cls, config):
                return cls(tf.keras.layers.deserialize(config.pop("layer")), **config)

        inputs, dense = tf.keras.Input([4]), tf.keras.layers.Dense(4)
        model = tf.keras.Model(inputs, Twice(dense)(dense(inputs)))
        model.save(tmp_path / "model.keras")
        again = tf.keras.models.load_model(tmp_path / "model.keras")
        assert again.layers[1] is again.layers[2].layer
        np.testing.assert_array_equal(again(np.eye(4)), model(np.eye(4)))
