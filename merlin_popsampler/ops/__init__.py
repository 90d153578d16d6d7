"""NVTabular's side: the two operators, and the counting, ordering and encoding that they do.

It may import `errors`, `core`, `contract`, `store`, NVTabular and Merlin's data frames; never a
deep-learning framework. The operators load on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .frequency_categorify import FrequencyCategorify
    from .frequency_order import FrequencyOrder

__all__ = ["FrequencyCategorify", "FrequencyOrder"]

_HOMES = {"FrequencyCategorify": "frequency_categorify", "FrequencyOrder": "frequency_order"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
