"""Defines the default metrics of the contrastive output, and saves their function by its name."""

from typing import Any, Dict, List

import tensorflow as tf

from merlin_popsampler.errors import PopSamplerError


@tf.keras.utils.register_keras_serializable(  # type: ignore[untyped-decorator]
    package="merlin_popsampler"
)
def no_metrics() -> List[Any]:
    """Returns no metrics, since the output has its own."""
    return []


class SavesMetricsByName:
    """Saves the `default_metrics_fn` of an output by the name that Keras knows, as a mixin.

    Merlin Models saves the bytecode of any function, which another version of Python cannot load.
    This is left for functions that are not registered with Keras.
    """

    def _serialize_function_to_config(self, inputs: Any) -> Any:
        name = tf.keras.utils.get_registered_name(inputs)
        if tf.keras.utils.get_registered_object(name) is inputs:
            return name, "function", inputs.__module__
        return super()._serialize_function_to_config(inputs)  # type: ignore[misc]

    @classmethod
    def _parse_function_from_config(
        cls, config: Dict[str, Any], function: str, module: str, kind: str
    ) -> Any:
        # For a name, Merlin Models 23.12 calls a function that TensorFlow 2.12 no longer has.
        if config[kind] != "function":
            return super()._parse_function_from_config(  # type: ignore[misc]
                config, function, module, kind
            )
        del config[module], config[kind]
        name = config[function]
        # Keras replaces a name in the configuration of a part of a model.
        found = name if callable(name) else tf.keras.utils.get_registered_object(name)
        if found is None:
            raise PopSamplerError(
                f"Expected default_metrics_fn {name!r} to be registered with Keras. "
                "Received: no function of that name. Import the module that registers it."
            )
        return found
