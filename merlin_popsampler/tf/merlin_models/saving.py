"""Whether a SavedModel is being written, for which Keras traces calls that nobody will run."""

from tensorflow.python.saved_model.save_context import in_save_context


def is_saving() -> bool:
    """Whether the call that is being traced is traced to be written into a SavedModel.

    Keras 2 traces each layer with `training=True` for it as well, and whatever tensors such a call
    captures go into the file. A layer that needs in training what must not be saved, or may be
    absent, leaves that path out while this is true, and answers as without training. Nothing is
    lost by it: a model that is loaded is traced anew before it trains, from the class's own code,
    if that is imported.

    Keras's own flag, `call_context().saving`, will not do. A layer that another one calls does not
    see it where TensorFlow traces once more what has been garbage collected, as happens with the
    output of each of Merlin Models' retrieval models. This flag of TensorFlow holds throughout, for
    `Model.save` and `tf.saved_model.save` alike.
    """
    return bool(in_save_context())
