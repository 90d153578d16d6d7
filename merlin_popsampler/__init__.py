"""Frequency-ordered ids, and popularity-based negative sampling that trusts them, for Merlin.

Importing this package loads neither TensorFlow nor NVTabular nor cuDF: each public name brings
what it needs on first use. A program that has TensorFlow loaded gets the sampler's class registered
at once, since a saved model can only find registered classes.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any, List

from .errors import FrequencyOrderError, PopSamplerError, SchemaError

if TYPE_CHECKING:
    from .frequency_categorify import FrequencyCategorify
    from .frequency_order import FrequencyOrder
    from .metadata import PopularityMetadata
    from .sampler import PopularityBasedSampler
    from .schema import read_popularity

__version__ = "0.1.0"

_LAZY = {
    "FrequencyCategorify": "frequency_categorify",
    "FrequencyOrder": "frequency_order",
    "PopularityBasedSampler": "sampler",
    "PopularityMetadata": "metadata",
    "read_popularity": "schema",
}

__all__ = [
    "FrequencyCategorify",
    "FrequencyOrder",
    "FrequencyOrderError",
    "PopSamplerError",
    "PopularityBasedSampler",
    "PopularityMetadata",
    "SchemaError",
    "read_popularity",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(__all__))


if "tensorflow" in sys.modules and hasattr(sys.modules["tensorflow"], "keras"):
    importlib.import_module(".sampler", __name__)
