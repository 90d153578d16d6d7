"""Detects whether a SavedModel is being written, when Keras traces calls that never run."""

from tensorflow.python.saved_model.save_context import in_save_context


def is_saving() -> bool:
    """Tests whether the current trace is written into a SavedModel.

    For a SavedModel, Keras 2 traces each layer with `training=True` as well. All tensors that such
    a call captures are written to the file. Some layers need objects in training that must not be
    saved, or that may be absent. While this function returns True, they trace the path without
    training. A loaded model is traced again before it trains, from the code of the class, if the
    class is imported.

    The flag of Keras, `call_context().saving`, is not sufficient. Inner layers do not see it when
    TensorFlow traces a garbage-collected function again. This happens with the output of each
    retrieval model of Merlin Models. The flag of TensorFlow is always set, for `Model.save` and
    `tf.saved_model.save`.
    """
    return bool(in_save_context())
