"""Whether a call is traced for a SavedModel: seen from inside of it, wherever it is."""

import numpy as np
import pandas as pd
import pytest

tf = pytest.importorskip("tensorflow")

from merlin.schema import ColumnSchema, Schema, Tags

from merlin_popsampler import compat
from merlin_popsampler.tf.merlin_models.saving import is_saving


class Noting(tf.keras.layers.Layer):
    """Notes of each call whether it is in training and whether a model is being saved."""

    def __init__(self, seen):
        super().__init__()
        self.seen = lambda *what: seen.append(what)

    def call(self, inputs, training=False):
        self.seen(bool(training), is_saving())
        return inputs


class Outer(tf.keras.layers.Layer):
    """Calls a layer that Keras does not know to be a part of this one."""

    def __init__(self, inner):
        super().__init__()
        self.inner = lambda: inner

    def call(self, inputs, training=False):
        return self.inner()(inputs, training=training)


@pytest.mark.keras2
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "inside of an untracked one"])
@pytest.mark.parametrize("by", ["Keras", "TensorFlow"])
def test_every_call_that_saving_traces_knows_it(nested, by, tmp_path):
    seen = []
    layer = Outer(Noting(seen)) if nested else Noting(seen)
    model = tf.keras.Sequential([tf.keras.layers.Dense(1), layer])
    model.compile("sgd", "mse")
    model.fit(np.zeros([4, 2]), np.zeros([4, 1]), verbose=0)
    assert set(seen) == {(True, False)}
    seen.clear()
    save = model.save if by == "Keras" else lambda path: tf.saved_model.save(model, path)
    save(str(tmp_path / "model"))
    assert set(seen) == {(True, True), (False, True)}
    seen.clear()
    model.fit(np.zeros([4, 2]), np.zeros([4, 1]), verbose=0)
    assert not any(saving for _, saving in seen)
    assert not is_saving()


@pytest.mark.merlin_models
def test_so_does_the_output_of_a_retrieval_model_which_keras_s_flag_does_not_reach(tmp_path):
    import merlin.models.tf as mm
    from keras.engine.base_layer_utils import call_context
    from merlin.io import Dataset

    seen = []

    class Output(mm.ContrastiveOutput):
        def call(self, inputs, training=False, **kwargs):
            seen.append((training, is_saving(), bool(call_context().saving)))
            return super().call(inputs, training=training, **kwargs)

    def column(name, tag):
        domain = {"domain": {"min": 0, "max": 9, "name": name}}
        return ColumnSchema(name, [tag, Tags.CATEGORICAL], domain, np.int64)

    schema = Schema([column("user", Tags.USER_ID), column("item", Tags.ITEM_ID)])
    ids = np.arange(32) % 10
    data = Dataset(pd.DataFrame({"user": ids, "item": ids}), cpu=True, schema=schema)
    output = Output(schema["item"], "in-batch", default_metrics_fn=list)
    query = mm.Encoder(schema.select_by_name("user"), mm.MLPBlock([4]))
    model = mm.RetrievalModelV2(query=query, output=output)
    model.compile("sgd")
    loader = mm.Loader(data, 16).map(mm.ToTarget(schema, "item", one_hot=False))
    model.fit(loader, verbose=0)
    assert not any(saving for _, saving, _ in seen)
    seen.clear()
    model.save(str(tmp_path / "model"))
    assert {training for training, _, _ in seen} == {False, True}
    assert all(saving for _, saving, _ in seen)
    missed = {training for training, _, flag in seen if not flag}
    # TensorFlow 2.12 traces collected functions again, with the flag unset; 2.21 does not.
    assert missed == ({False} if compat.enable() else {False, True})
