"""Adaptations of Merlin Models 23.12 to TensorFlow 2.16 and later, whose Keras is version 3.

Its layers are written for Keras 2, which these versions provide as the package tf_keras. The
version of Keras tells which TensorFlow is installed, whatever the name of its distribution.
"""

import os
import sys
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
"""Modules of Keras 2 that Merlin Models imports by `keras.<name>`, and that Keras 3 has not."""


def is_refused() -> bool:
    """Whether the environment asks for Keras 3, so that Merlin Models is not to be used."""
    return os.environ.get(CHOICE, "1") not in ("1", "true", "True")


@adapts("merlin-models", "keras", (3,), to=ADAPTATIONS)
def choose_keras_2() -> None:
    """`tf.keras` is Keras 3 unless the environment asks for tf_keras before TensorFlow loads."""
    if find_spec("tf_keras") is None:
        raise PopSamplerError(
            "Expected the package tf_keras, the Keras 2 that Merlin Models needs beside "
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
    """Merlin Models imports modules from inside Keras 2, which now stand in `tf_keras.src`."""
    for name in INNER:
        alias(f"keras.{name}", f"tf_keras.src.{name}")


@adapts("merlin-models", "keras", (3,), to=ADAPTATIONS)
def find_tracking() -> None:
    """TensorFlow renamed its module of tracked lists and dictionaries."""
    alias("tensorflow.python.training.tracking", "tensorflow.python.trackable")


@adapts("merlin-models", "keras", (3,), to=ADAPTATIONS)
def find_dlpack() -> None:
    """TensorFlow has its exchange of tensors under a public name alone."""

    def add(tensorflow: Any) -> None:
        inner = import_module("tensorflow.python")
        for name in ("to_dlpack", "from_dlpack"):
            setattr(inner, name, getattr(tensorflow.experimental.dlpack, name))

    after_import("tensorflow", add)


@adapts("merlin-models", "keras", (3,), to=ADAPTATIONS)
def serialize_metrics() -> None:
    """`tf.keras.layers.serialize` refuses metrics, which the aggregator of metrics gives it.

    Without this, no model of Merlin Models' first interface can be saved.
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
