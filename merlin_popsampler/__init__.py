"""Frequency-ordered ids, and popularity-based negative sampling that trusts them, for Merlin.

What lies where, and what may import what (each from those before it, frameworks never each other):

- `errors`: the exceptions that are raised on purpose;
- `core`: the mathematics, NumPy and the standard library alone;
- `contract`: what a Merlin schema carries, and what a sampler takes from it;
- `store`: files on disk, what a fit writes and where it lies;
- `ops`: NVTabular's side, the operators;
- `tf`: TensorFlow's side, the Keras layers that draw, expected count and train;
- `torch`: PyTorch's side, the same sampler and loss as modules;
- `cli`: reports from the command line, behind `python -m merlin_popsampler`;
- `distributions`: the public door to the distributions of `core`.

Importing this package loads neither TensorFlow nor PyTorch, nor NVTabular, nor cuDF: each public
name brings what it needs on first use. A program that has TensorFlow loaded gets the layers'
classes registered at once, since a saved model can only find registered classes.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, List

from .errors import FrequencyOrderError, PopSamplerError, SchemaError

if TYPE_CHECKING:
    from .contract.counts import check_order, popularity_from
    from .contract.metadata import PopularityMetadata
    from .contract.schema import read_popularity
    from .core.id_map import IdMap
    from .ops.frequency_categorify import FrequencyCategorify
    from .ops.frequency_order import FrequencyOrder
    from .tf.sampler import PopularityBasedSampler

__version__ = "0.1.0"

_HOMES = {
    "FrequencyCategorify": "ops.frequency_categorify",
    "FrequencyOrder": "ops.frequency_order",
    "IdMap": "core.id_map",
    "PopularityBasedSampler": "tf.sampler",
    "PopularityMetadata": "contract.metadata",
    "check_order": "contract.counts",
    "popularity_from": "contract.counts",
    "read_popularity": "contract.schema",
}

__all__ = [
    "FrequencyCategorify",
    "FrequencyOrder",
    "FrequencyOrderError",
    "IdMap",
    "PopSamplerError",
    "PopularityBasedSampler",
    "PopularityMetadata",
    "SchemaError",
    "check_order",
    "popularity_from",
    "read_popularity",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(__all__))


if "tensorflow" in sys.modules and hasattr(sys.modules["tensorflow"], "keras"):
    import_module(".tf.sampled_softmax", __name__)
