"""Adapts Merlin Models 23.12 to TensorFlow 2.16 and later, whose Keras is version 3.

The layers of Merlin Models need Keras 2, which is the package tf_keras for these versions. The
version of Keras indicates that of TensorFlow, which has distributions of several names.
"""

import os
import sys
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Dict, List

from merlin_popsampler.errors import PopSamplerError

from .adaptation import Adaptation, adapts
from .importing import after_import, alias

ADAPTATIONS: List[Adaptation] = []
CHOICE = "TF_USE_LEGACY_KERAS"
INNER = (
    "engine",
    "layers.preprocessing",
    "saving.saving_lib",
    "utils.control_flow_util",
    "utils.generic_utils",
    "utils.layer_utils",
    "utils.losses_utils",
    "utils.metrics_utils",
    "utils.tf_inspect",
)
"""Modules of Keras 2 that Merlin Models imports as `keras.<name>`, and that Keras 3 lacks."""


def is_refused() -> bool:
    """Tests whether the environment selects Keras 3, which excludes Merlin Models."""
    return os.environ.get(CHOICE, "1") not in ("1", "true", "True")


@adapts("merlin-models", "keras", (3,), to=ADAPTATIONS)
def choose_keras_2() -> None:
    """Selects tf_keras in the environment, since `tf.keras` would be Keras 3 otherwise."""
    if find_spec("tf_keras") is None:
        raise PopSamplerError(
            "Expected the package tf_keras, the Keras 2 that Merlin Models needs with "
            "TensorFlow 2.16 and later. Received: an environment without it. Install tf_keras in "
            f"the version of TensorFlow, or set {CHOICE}=0 to work without Merlin Models."
        )
    if "tensorflow" in sys.modules and CHOICE not in os.environ:
        raise PopSamplerError(
            "Expected compat.enable() before the first import of TensorFlow. Received: a process "
            "that has imported it with Keras 3. Call enable() first; or set "
            f"{CHOICE}=0 in the environment to work without Merlin Models."
        )
    os.environ[CHOICE] = "1"


@adapts("merlin-models", "keras", (3,), to=ADAPTATIONS)
def find_inner_modules() -> None:
    """Redirects private modules of Keras 2, which Merlin Models imports, to `tf_keras.src`."""
    for name in INNER:
        alias(f"keras.{name}", f"tf_keras.src.{name}")


@adapts("merlin-models", "keras", (3,), to=ADAPTATIONS)
def find_tracking() -> None:
    """Redirects the module of tracked lists and dictionaries, which TensorFlow renamed."""
    alias("tensorflow.python.training.tracking", "tensorflow.python.trackable")


@adapts("merlin-models", "keras", (3,), to=ADAPTATIONS)
def find_dlpack() -> None:
    """Restores the private names of TensorFlow's DLPack functions, which are public only now."""

    def add(tensorflow: Any) -> None:
        inner = import_module("tensorflow.python")
        for name in ("to_dlpack", "from_dlpack"):
            setattr(inner, name, getattr(tensorflow.experimental.dlpack, name))

    after_import("tensorflow", add)


@adapts("merlin-models", "keras", (3,), to=ADAPTATIONS)
def serialize_metrics() -> None:
    """Serializes metrics as metrics, since `tf.keras.layers.serialize` rejects them.

    Otherwise, no model of Merlin Models that takes an `ItemSampler` can be saved.
    """

    def change(topk: Any) -> None:
        import tensorflow as tf

        aggregator = topk.TopKMetricsAggregator

        def get_config(self: Any) -> Dict[str, Any]:
            config: Dict[str, Any] = super(aggregator, self).get_config()
            metrics = [tf.keras.metrics.serialize(metric) for metric in self.topk_metrics]
            return {**config, "topk_metrics": metrics}

        aggregator.get_config = get_config

    after_import("merlin.models.tf.metrics.topk", change)


@adapts("merlin-models", "keras", (3,), to=ADAPTATIONS)
def share_built_in_layers() -> None:
    """Restores one layer where layers of a `.keras` file share one, such as an `Embedding`.

    tf_keras ignores the mark of a shared layer if the class of that layer is its own. Each layer
    gets a copy, and the file has no variables for all but one.
    """

    def change(library: Any) -> None:
        deserialize = library.deserialize_keras_object

        @wraps(deserialize)
        def once(config: Any, *args: Any, **kwargs: Any) -> Any:
            shared = config.get("shared_object_id") if isinstance(config, dict) else None
            if shared is None:
                return deserialize(config, *args, **kwargs)
            restored = library.get_shared_object(shared)
            if restored is None:
                restored = deserialize(config, *args, **kwargs)
                library.record_object_after_deserialization(restored, shared)
            return restored

        library.deserialize_keras_object = once

    after_import("tf_keras.src.saving.serialization_lib", change)
